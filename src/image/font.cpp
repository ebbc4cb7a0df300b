// SPDX-License-Identifier: Apache-2.0
// A bitmap font that is its own picture: 95 glyphs of 5 x 8 (the last row for descenders), sixteen in a
// block. Subtle: glyphs are set at their own widths, digits at one width so that numbers stand in columns;
// above scale 1 the bitmap is interpolated and thresholded softly, so that large text has round, smooth
// strokes instead of blocks.
#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <string>
#include <string_view>

#include "frf/error.h"
#include "image/transform.h"

namespace frf {
namespace {

constexpr int kRows = 8, kColumns = 5, kInBlock = 16, kFirst = 32, kGlyphs = 95;

// clang-format off
constexpr const char* kArt[] = {
    //       !     "     #     $     %     &     '     (     )     *     +     ,     -     .     /
    "..... ..#.. .#.#. .#.#. ..#.. ##..# .##.. ..#.. ...#. .#... ..... ..... ..... ..... ..... ....#",
    "..... ..#.. .#.#. .#.#. .#### ##.#. #..#. ..#.. ..#.. ..#.. ..#.. ..#.. ..... ..... ..... ....#",
    "..... ..#.. .#.#. ##### #.#.. ...#. #.#.. ..#.. .#... ...#. #.#.# ..#.. ..... ..... ..... ...#.",
    "..... ..#.. ..... .#.#. .###. ..#.. .#... ..... .#... ...#. .###. ##### ..... .###. ..... ..#..",
    "..... ..#.. ..... ##### ..#.# .#... #.#.# ..... .#... ...#. #.#.# ..#.. ..... ..... ..... .#...",
    "..... ..... ..... .#.#. ####. .#.## #..#. ..... ..#.. ..#.. ..#.. ..#.. ..#.. ..... .##.. #....",
    "..... ..#.. ..... .#.#. ..#.. #..## .##.# ..... ...#. .#... ..... ..... ..#.. ..... .##.. #....",
    "..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .#... ..... ..... .....",
    // 0     1     2     3     4     5     6     7     8     9     :     ;     <     =     >     ?
    "..#.. ..#.. .###. .###. ...#. ##### ..##. ##### .###. .###. ..... ..... ...#. ..... .#... .###.",
    ".#.#. .##.. #...# #...# ..##. #.... .#... ....# #...# #...# .##.. .##.. ..#.. ..... ..#.. #...#",
    "#...# ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...# .##.. .##.. .#... ##### ...#. ....#",
    "#...# ..#.. ...#. ..##. #..#. ....# ####. ..#.. .###. .#### ..... ..... #.... ..... ....# ...#.",
    "#...# ..#.. ..#.. ....# ##### ....# #...# .#... #...# ....# .##.. .##.. .#... ##### ...#. ..#..",
    ".#.#. ..#.. .#... #...# ...#. #...# #...# .#... #...# ...#. .##.. ..#.. ..#.. ..... ..#.. .....",
    "..#.. .###. ##### .###. ...#. .###. .###. .#... .###. .##.. ..... .#... ...#. ..... .#... ..#..",
    "..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....",
    // @     A     B     C     D     E     F     G     H     I     J     K     L     M     N     O
    ".###. .###. ####. .###. ###.. ##### ##### .###. #...# .###. ..### #...# #.... #...# #...# .###.",
    "#...# #...# #...# #...# #..#. #.... #.... #...# #...# ..#.. ...#. #..#. #.... ##.## #...# #...#",
    "#.### #...# #...# #.... #...# #.... #.... #.... #...# ..#.. ...#. #.#.. #.... #.#.# ##..# #...#",
    "#.#.# ##### ####. #.... #...# ####. ####. #.### ##### ..#.. ...#. ##... #.... #.#.# #.#.# #...#",
    "#.### #...# #...# #.... #...# #.... #.... #...# #...# ..#.. ...#. #.#.. #.... #...# #..## #...#",
    "#.... #...# #...# #...# #..#. #.... #.... #...# #...# ..#.. #..#. #..#. #.... #...# #...# #...#",
    ".###. #...# ####. .###. ###.. ##### #.... .#### #...# .###. .##.. #...# ##### #...# #...# .###.",
    "..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....",
    // P     Q     R     S     T     U     V     W     X     Y     Z     [     \     ]     ^     _
    "####. .###. ####. .#### ##### #...# #...# #...# #...# #...# ##### .###. #.... .###. ..#.. .....",
    "#...# #...# #...# #.... ..#.. #...# #...# #...# #...# #...# ....# .#... #.... ...#. .#.#. .....",
    "#...# #...# #...# #.... ..#.. #...# #...# #...# .#.#. .#.#. ...#. .#... .#... ...#. #...# .....",
    "####. #...# ####. .###. ..#.. #...# #...# #.#.# ..#.. ..#.. ..#.. .#... ..#.. ...#. ..... .....",
    "#.... #.#.# #.#.. ....# ..#.. #...# #...# #.#.# .#.#. ..#.. .#... .#... ...#. ...#. ..... .....",
    "#.... #..#. #..#. ....# ..#.. #...# .#.#. ##.## #...# ..#.. #.... .#... ....# ...#. ..... .....",
    "#.... .##.# #...# ####. ..#.. .###. ..#.. #...# #...# ..#.. ##### .###. ....# .###. ..... .....",
    "..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... #####",
    // `     a     b     c     d     e     f     g     h     i     j     k     l     m     n     o
    ".#... ..... #.... ..... ....# ..... ..##. ..... #.... ..#.. ...#. #.... .##.. ..... ..... .....",
    "..#.. ..... #.... ..... ....# ..... .#... ..... #.... ..... ..... #.... ..#.. ..... ..... .....",
    "..... .###. ####. .###. .#### .###. ####. .#### ####. .##.. ..##. #..#. ..#.. ##.#. ####. .###.",
    "..... ....# #...# #.... #...# #...# .#... #...# #...# ..#.. ...#. #.#.. ..#.. #.#.# #...# #...#",
    "..... .#### #...# #.... #...# ##### .#... #...# #...# ..#.. ...#. ##... ..#.. #.#.# #...# #...#",
    "..... #...# #...# #...# #...# #.... .#... .#### #...# ..#.. ...#. #.#.. ..#.. #.#.# #...# #...#",
    "..... .#### ####. .###. .#### .###. .#... ....# #...# .###. ...#. #..#. .###. #.#.# #...# .###.",
    "..... ..... ..... ..... ..... ..... ..... .###. ..... ..... .##.. ..... ..... ..... ..... .....",
    // p     q     r     s     t     u     v     w     x     y     z     {     |     }     ~
    "..... ..... ..... ..... .#... ..... ..... ..... ..... ..... ..... ...## ..#.. ##... .....",
    "..... ..... ..... ..... .#... ..... ..... ..... ..... ..... ..... ..#.. ..#.. ..#.. .....",
    "####. .#### #.##. .#### ####. #...# #...# #...# #...# #...# ##### ..#.. ..#.. ..#.. .#...",
    "#...# #...# ##..# #.... .#... #...# #...# #...# .#.#. #...# ...#. .#... ..#.. ...#. #.#.#",
    "#...# #...# #.... .###. .#... #...# #...# #.#.# ..#.. #...# ..#.. ..#.. ..#.. ..#.. ...#.",
    "####. .#### #.... ....# .#..# #..## .#.#. #.#.# .#.#. .#### .#... ..#.. ..#.. ..#.. .....",
    "#.... ....# #.... ####. ..##. .##.# ..#.. .#.#. #...# ....# ##### ...## ..#.. ##... .....",
    "#.... ....# ..... ..... ..... ..... ..... ..... ..... .###. ..... ..... ..... ..... .....",
};
// clang-format on

struct Glyph {
  std::array<std::array<float, kColumns>, kRows> ink{};
  int width = 0;  // columns, the gap behind it not counted
};

std::array<Glyph, kGlyphs> ReadArt() {
  std::array<Glyph, kGlyphs> glyphs;
  for (int i = 0; i < kGlyphs; ++i) {
    Glyph& glyph = glyphs[static_cast<std::size_t>(i)];
    const auto pixel = [&](int row, int column) {
      return kArt[i / kInBlock * kRows + row][i % kInBlock * (kColumns + 1) + column] == '#';
    };
    int left = kColumns, right = -1;
    for (int row = 0; row < kRows; ++row) {
      for (int column = 0; column < kColumns; ++column) {
        if (pixel(row, column)) left = std::min(left, column), right = std::max(right, column);
      }
    }
    const char character = static_cast<char>(kFirst + i);
    if (character >= '0' && character <= '9') left = 0, right = kColumns - 1;
    if (right < 0) left = 0, right = 2;  // space
    glyph.width = right - left + 1;
    for (int row = 0; row < kRows; ++row) {
      for (int column = left; column <= right; ++column) {
        glyph.ink[static_cast<std::size_t>(row)][static_cast<std::size_t>(column - left)] =
            pixel(row, column) ? 1.0f : 0.0f;
      }
    }
  }
  return glyphs;
}

// U+00C0 to U+017F (the letters of Latin-1 and Latin Extended-A) in ASCII: German's umlauts as German writes
// them without, other letters without their marks.
constexpr std::string_view kLatin[] = {
    "A", "A", "A",  "A",  "Ae", "A", "AE", "C", "E", "E", "E", "E", "I",  "I", "I",  "I",   // À
    "D", "N", "O",  "O",  "O",  "O", "Oe", "x", "O", "U", "U", "U", "Ue", "Y", "Th", "ss",  // Ð
    "a", "a", "a",  "a",  "ae", "a", "ae", "c", "e", "e", "e", "e", "i",  "i", "i",  "i",   // à
    "d", "n", "o",  "o",  "o",  "o", "oe", "/", "o", "u", "u", "u", "ue", "y", "th", "y",   // ð
    "A", "a", "A",  "a",  "A",  "a", "C",  "c", "C", "c", "C", "c", "C",  "c", "D",  "d",   // Ā
    "D", "d", "E",  "e",  "E",  "e", "E",  "e", "E", "e", "E", "e", "G",  "g", "G",  "g",   // Đ
    "G", "g", "G",  "g",  "H",  "h", "H",  "h", "I", "i", "I", "i", "I",  "i", "I",  "i",   // Ġ
    "I", "i", "IJ", "ij", "J",  "j", "K",  "k", "k", "L", "l", "L", "l",  "L", "l",  "L",   // İ
    "l", "L", "l",  "N",  "n",  "N", "n",  "N", "n", "n", "N", "n", "O",  "o", "O",  "o",   // ŀ
    "O", "o", "OE", "oe", "R",  "r", "R",  "r", "R", "r", "S", "s", "S",  "s", "S",  "s",   // Ő
    "S", "s", "T",  "t",  "T",  "t", "T",  "t", "U", "u", "U", "u", "U",  "u", "U",  "u",   // Š
    "U", "u", "U",  "u",  "W",  "w", "Y",  "y", "Y", "Z", "z", "Z", "z",  "Z", "z",  "s"};  // Ű
constexpr char32_t kNoUtf8 = 0xffffffff, kNoBreakSpace = 0xa0, kFirstLatin = 0xc0, kFirstMark = 0x300,
                   kLastMark = 0x36f;

// The code point at `at`, which is moved behind it; kNoUtf8, and one byte further, where there is none.
char32_t NextCodePoint(std::string_view text, std::size_t& at) {
  const auto first = static_cast<unsigned char>(text[at++]);
  if (first < 0x80) return first;
  const std::size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  if (first < 0xc2 || first > 0xf4 || text.size() - at < more) return kNoUtf8;
  char32_t code = first & (0x3fu >> more);
  for (std::size_t i = 0; i < more; ++i) {
    const auto next = static_cast<unsigned char>(text[at + i]);
    if ((next & 0xc0) != 0x80) return kNoUtf8;
    code = code << 6 | (next & 0x3fu);
  }
  at += more;
  return code;
}

// UTF-8 in the font's characters: a question mark for each letter that it lacks; marks that stand behind
// their letter are left out.
std::string Drawable(std::string_view text) {
  std::string drawable;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t code = NextCodePoint(text, at);
    if (code >= kFirst && code < kFirst + kGlyphs)
      drawable += static_cast<char>(code);
    else if (code >= kFirstLatin && code < kFirstLatin + std::size(kLatin))
      drawable += kLatin[code - kFirstLatin];
    else if (code == kNoBreakSpace)
      drawable += ' ';
    else if (code < kFirstMark || code > kLastMark)
      drawable += '?';
  }
  return drawable;
}

const Glyph& GlyphOf(char character) {
  static const std::array<Glyph, kGlyphs> glyphs = ReadArt();
  return glyphs[static_cast<std::size_t>(character - kFirst)];
}

// How much of a target pixel the stroke covers, 0..1; (x, y) counts target pixels from the glyph's corner.
float Coverage(const Glyph& glyph, int x, int y, int scale) {
  const auto ink = [&](int row, int column) {
    if (row < 0 || row >= kRows || column < 0 || column >= kColumns) return 0.0f;
    return glyph.ink[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
  };
  if (scale == 1) return ink(y, x);
  const float u = (static_cast<float>(x) + 0.5f) / static_cast<float>(scale) - 0.5f;
  const float v = (static_cast<float>(y) + 0.5f) / static_cast<float>(scale) - 0.5f;
  const int column = static_cast<int>(std::floor(u)), row = static_cast<int>(std::floor(v));
  const float fx = u - static_cast<float>(column), fy = v - static_cast<float>(row);
  const float top = ink(row, column) * (1 - fx) + ink(row, column + 1) * fx;
  const float bottom = ink(row + 1, column) * (1 - fx) + ink(row + 1, column + 1) * fx;
  const float value = top * (1 - fy) + bottom * fy;
  return std::clamp((value - 0.45f) * static_cast<float>(scale) + 0.5f, 0.0f, 1.0f);
}

}  // namespace

int TextWidth(const std::string& text, int scale) {
  int width = 0;
  for (const char character : Drawable(text)) width += GlyphOf(character).width + 1;
  return std::max(0, width - 1) * scale;
}

void DrawText(Image& image, int x, int y, const std::string& text, const Color& color, int scale) {
  if (scale < 1) throw Error(ErrorCode::kInvalidArgument, "DrawText: scale must be at least 1");
  for (const char character : Drawable(text)) {
    const Glyph& glyph = GlyphOf(character);
    for (int row = std::max(0, -y); row < kRows * scale && y + row < image.height; ++row) {
      for (int column = std::max(0, -x); column < glyph.width * scale && x + column < image.width; ++column) {
        const float cover = Coverage(glyph, column, row, scale);
        if (cover <= 0) continue;
        std::uint8_t* pixel = image.at(y + row, x + column);
        for (int c = 0; c < std::min(image.channels, 3); ++c) {
          const float old = pixel[c], wanted = color[static_cast<std::size_t>(c)];
          pixel[c] = static_cast<std::uint8_t>(old + (wanted - old) * cover + 0.5f);
        }
      }
    }
    x += (glyph.width + 1) * scale;
  }
}

}  // namespace frf
