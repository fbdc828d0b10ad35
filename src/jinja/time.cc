// SPDX-License-Identifier: Apache-2.0
//
// strftime without the C library's, which depends on the process's locale.
#include <array>
#include <cstdio>

#include "jinja/format.h"

namespace aio::jinja {
namespace {

constexpr size_t kFormattedMax = 4096;  // bytes

constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {
    "Sunday",   "Monday", "Tuesday", "Wednesday",
    "Thursday", "Friday", "Saturday"};

struct Calendar {
  int year, month, day, hour, minute, second;
  int weekday;  // 0: Sunday
  int yearday;  // 0: the first of January
};

Calendar Split(std::chrono::local_seconds time) {
  using std::chrono::floor;
  const auto midnight = floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(midnight);
  const std::chrono::hh_mm_ss clock(time - midnight);
  const std::chrono::local_days new_year(date.year() / std::chrono::January /
                                         1);
  const std::chrono::weekday weekday(midnight);
  return {static_cast<int>(date.year()),
          static_cast<int>(static_cast<unsigned>(date.month())),
          static_cast<int>(static_cast<unsigned>(date.day())),
          static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()),
          static_cast<int>(clock.seconds().count()),
          static_cast<int>(weekday.c_encoding()),
          static_cast<int>((midnight - new_year).count())};
}

std::string Number(int value, int width, char pad) {
  char out[24];
  if (pad == '-') width = 1;
  std::snprintf(out, sizeof(out), pad == '_' ? "%*d" : "%0*d", width, value);
  return out;
}

// The directives that stand for others.
std::string_view Alias(char directive) {
  switch (directive) {
    case 'c':
      return "%a %b %e %H:%M:%S %Y";
    case 'D':
    case 'x':
      return "%m/%d/%y";
    case 'F':
      return "%Y-%m-%d";
    case 'r':
      return "%I:%M:%S %p";
    case 'R':
      return "%H:%M";
    case 'T':
    case 'X':
      return "%H:%M:%S";
    default:
      return "";
  }
}

Result<std::string> Directive(char directive, char pad, const Calendar& t) {
  const int hour = (t.hour + 11) % 12 + 1;
  const auto month = static_cast<size_t>(t.month - 1);
  const auto weekday = static_cast<size_t>(t.weekday);
  switch (directive) {
    case 'Y':
      return Number(t.year, 4, pad);
    case 'y':
      return Number((t.year % 100 + 100) % 100, 2, pad);
    case 'm':
      return Number(t.month, 2, pad);
    case 'd':
      return Number(t.day, 2, pad);
    case 'e':
      return Number(t.day, 2, pad == 0 ? '_' : pad);
    case 'H':
      return Number(t.hour, 2, pad);
    case 'I':
      return Number(hour, 2, pad);
    case 'M':
      return Number(t.minute, 2, pad);
    case 'S':
      return Number(t.second, 2, pad);
    case 'j':
      return Number(t.yearday + 1, 3, pad);
    case 'f':
      return std::string("000000");
    case 'u':
      return Number((t.weekday + 6) % 7 + 1, 1, pad);
    case 'w':
      return Number(t.weekday, 1, pad);
    case 'U':
      return Number((t.yearday + 7 - t.weekday) / 7, 2, pad);
    case 'W':
      return Number((t.yearday + 7 - (t.weekday + 6) % 7) / 7, 2, pad);
    case 'B':
      return std::string(kMonths[month]);
    case 'b':
    case 'h':
      return std::string(kMonths[month].substr(0, 3));
    case 'A':
      return std::string(kDays[weekday]);
    case 'a':
      return std::string(kDays[weekday].substr(0, 3));
    case 'p':
      return std::string(t.hour < 12 ? "AM" : "PM");
    case 'n':
      return std::string("\n");
    case 't':
      return std::string("\t");
    case '%':
      return std::string("%");
    case 'z':
    case 'Z':
      return std::string();
    default:
      return Unsupported(std::string("strftime's %") + directive);
  }
}

}  // namespace

Result<std::string> FormatTime(std::string_view format,
                               std::chrono::local_seconds time) {
  const Calendar calendar = Split(time);
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (out.size() > kFormattedMax) return Fail("a date's format is too long");
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    char c = format[++i], pad = 0;
    if ((c == '-' || c == '_') && i + 1 < format.size()) {
      pad = c;
      c = format[++i];
    }
    if (const std::string_view alias = Alias(c); !alias.empty()) {
      ASSIGN_OR_RETURN(const std::string text, FormatTime(alias, time));
      out += text;
      continue;
    }
    ASSIGN_OR_RETURN(const std::string text, Directive(c, pad, calendar));
    out += text;
  }
  return out;
}

}  // namespace aio::jinja
