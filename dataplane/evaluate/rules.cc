// SPDX-License-Identifier: Apache-2.0
#include "dataplane/evaluate/rules.h"

namespace sluice::evaluate {

namespace {

struct Word {
    const char* name;
    bool allowed;
};
#define SLUICE_OUTCOME_WORD(id, name, allowed) {name, allowed},
constexpr Word words[] = {SLUICE_OUTCOMES(SLUICE_OUTCOME_WORD)};
#undef SLUICE_OUTCOME_WORD

constexpr int64_t day_seconds = 86400;
constexpr int64_t first_weekday = 3;  // 1970-01-01 was a Thursday

}  // namespace

const char* outcome_name(size_t outcome) { return outcome < outcomes ? words[outcome].name : "unknown"; }
bool is_allowed(Outcome outcome) { return words[static_cast<size_t>(outcome)].allowed; }

bool Schedule::is_open(int64_t seconds) const {
    const int64_t day = seconds / day_seconds - (seconds % day_seconds < 0);
    const int64_t minute = (seconds - day * day_seconds) / 60;
    const int64_t weekday = ((day + first_weekday) % 7 + 7) % 7;
    return (days >> weekday & 1) != 0 && minute >= start_minute && minute < end_minute;
}

}  // namespace sluice::evaluate
