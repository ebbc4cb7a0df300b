// SPDX-License-Identifier: Apache-2.0
// ncnn by its Python wheel: the other end of the pipe as a Python program, which the wheel's Python gets on
// its command line. Its file is made from the ONNX file by pnnx, ncnn's own converter. Subtle: 16-bit storage
// and arithmetic, ncnn's default, are switched off: everyone computes in float32. Taking the result out of
// ncnn's matrix is not timed; a C++ program would read it in place.
#include "cli/bench_peer.h"

namespace frf::cli {

const char* const kNcnnProgram = R"PY(
import ctypes, glob, importlib.util, os, subprocess, sys, time
commands, answers = os.fdopen(3, "r"), os.fdopen(4, "w")

def die_with_parent():  # as peers with a C API do; pnnx ends with us, who may be killed while it works
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL

die_with_parent()

def answer(*words):
    answers.write("\t".join(words).replace("\n", " ") + "\n")
    answers.flush()

try:
    import numpy
    import ncnn
except ImportError as error:
    answer("error", f"Python has no {error.name}; make peers installs it")
    sys.exit(1)

def converted(model, shape):
    spec = importlib.util.find_spec("pnnx")
    programs = [p for f in (spec.submodule_search_locations if spec else []) for p in glob.glob(os.path.join(f, "**", "pnnx"), recursive=True)]
    programs = [p for p in programs if os.path.isfile(p) and os.access(p, os.X_OK)]
    if not programs:
        raise RuntimeError("pnnx, which makes ncnn's files, is not installed; make peers installs it")
    size = ",".join(map(str, shape))
    done = subprocess.run([programs[0], model, f"inputshape=[{size}]", "fp16=0"], capture_output=True, text=True,
                          preexec_fn=die_with_parent)
    stem = os.path.splitext(model)[0]
    if done.returncode != 0 or not os.path.exists(stem + ".ncnn.param"):
        words = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(f"pnnx cannot convert the file: {words[-1] if words else done.returncode}")
    return stem + ".ncnn.param", stem + ".ncnn.bin"

class Runner:
    def __init__(self, model, source, target, kind, height, width, threads):
        if kind != "f32":
            raise RuntimeError("ncnn takes float input only")
        shape = (1, 3, int(height), int(width))
        param, weights = converted(model, shape)
        self.net = ncnn.Net()
        self.net.opt.num_threads = int(threads)
        self.pools = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()  # as ncnn's own benchmark has them
        self.net.opt.blob_allocator, self.net.opt.workspace_allocator = self.pools
        for option in dir(self.net.opt):
            if option.startswith(("use_fp16", "use_bf16", "use_int8", "use_vulkan")):
                setattr(self.net.opt, option, False)
        if self.net.load_param(param) != 0 or self.net.load_model(weights) != 0:
            raise RuntimeError("ncnn cannot load what pnnx wrote (a layer that it lacks?)")
        self.input, self.output = self.net.input_names()[0], self.net.output_names()[0]
        self.image = numpy.memmap(source, dtype=numpy.float32, mode="r", shape=shape)
        self.infer()
        self.target = numpy.memmap(target, dtype=numpy.float32, mode="w+", shape=self.result.shape)

    def infer(self):
        image = ncnn.Mat(numpy.ascontiguousarray(self.image[0]))
        start = time.perf_counter()
        extractor = self.net.create_extractor()
        extractor.input(self.input, image)
        code, result = extractor.extract(self.output)
        milliseconds = (time.perf_counter() - start) * 1000
        if code != 0:
            raise RuntimeError(f"ncnn's extract failed with {code}")
        self.result = numpy.array(result)
        return milliseconds

    def run(self):
        milliseconds = self.infer()
        self.target[:] = self.result
        return milliseconds

answer("ready", ncnn.__version__)
runner = None
for line in commands:
    words = line.rstrip("\n").split("\t")
    try:
        if words[0] == "load":
            runner = Runner(*words[1:])
            answer("ok", "f32", "x".join(map(str, (1,) + runner.result.shape)))
        elif words[0] == "run":
            answer("ms", f"{runner.run():.6f}")
    except Exception as error:
        answer("error", f"{error}")
        sys.exit(1)
)PY";

}  // namespace frf::cli
