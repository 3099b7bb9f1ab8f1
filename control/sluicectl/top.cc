// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/top.h"

#include <curses.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "control/sluicectl/table.h"

namespace sluice::ctl {

namespace {

// The terminal while it is ours; put back as it was however this ends.
class Screen {
public:
    Screen() {
        initscr();
        cbreak();
        noecho();
        curs_set(0);
    }
    ~Screen() { endwin(); }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    void show(const Json& rates) {
        erase();
        const auto height = static_cast<size_t>(getmaxy(stdscr));
        const auto width = static_cast<size_t>(getmaxx(stdscr));
        const std::vector<std::string> lines = top_lines(rates, width);
        for (size_t i = 0; i < lines.size() && i + 1 < height; ++i)
            mvaddnstr(static_cast<int>(i), 0, lines[i].c_str(), static_cast<int>(width));
        mvaddnstr(static_cast<int>(height) - 1, 0, "q: quit", static_cast<int>(width));
        refresh();
    }

    // Until the time is up; true: somebody pressed q.
    bool wait(double seconds) {
        timeout(static_cast<int>(seconds * 1000));
        const int key = getch();
        return key == 'q' || key == 'Q';
    }
};

void print_plain(const Json& rates, bool json) {
    if (json) {
        fmt::print("{}\n", rates.dump());
    } else {
        for (const std::string& line : top_lines(rates, screen_width)) fmt::print("{}\n", line);
        fmt::print("\n");
    }
    std::fflush(stdout);
}

}  // namespace

Status top(const TopWords& words, const std::function<Result<Look>()>& look) {
    Result<Look> before = look();
    if (!before) return before.error();
    const bool terminal = !words.json && isatty(STDOUT_FILENO) != 0 && isatty(STDIN_FILENO) != 0;
    const std::unique_ptr<Screen> screen = terminal ? std::make_unique<Screen>() : nullptr;
    for (unsigned shown = 0; words.count == 0 || shown < words.count; ++shown) {
        if (screen) {
            if (screen->wait(words.every)) return {};
        } else {
            std::this_thread::sleep_for(std::chrono::duration<double>(words.every));
        }
        Result<Look> now = look();
        if (!now) return now.error();
        const Json rates = rates_between(*before, *now);
        screen ? screen->show(rates) : print_plain(rates, words.json);
        before = std::move(now);
    }
    return {};
}

}  // namespace sluice::ctl
