// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/words.h"

#include <fmt/format.h>

namespace sluice::ctl {

namespace {

std::vector<const CLI::App*> subcommands_of(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
    return app.get_options([](const CLI::Option*) { return true; });
}

std::string path_of(const std::string& path, const CLI::App& app) {
    return path.empty() ? app.get_name() : path + " " + app.get_name();
}

// Of each command, by its words: what may come next.
void add_cases(const CLI::App& app, const std::string& path, std::string& out) {
    std::string words;
    for (const CLI::App* sub : subcommands_of(app)) words += sub->get_name() + " ";
    for (const CLI::Option* option : options_of(app)) {
        for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
    }
    if (!words.empty()) words.pop_back();
    out += fmt::format("        \"{}\") words=\"{}\" ;;\n", path, words);
    for (const CLI::App* sub : subcommands_of(app)) add_cases(*sub, path_of(path, *sub), out);
}

// A hyphen of an option is one, not a dash (man-pages(7)).
std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '-') out += '\\';
        out += c == '\\' ? "\\\\" : std::string(1, c);
    }
    return out;
}

void add_manual(const CLI::App& app, const std::string& path, std::string& out) {
    for (const CLI::App* sub : subcommands_of(app)) {
        const std::string name = path_of(path, *sub);
        std::string line = name;
        for (const CLI::Option* option : options_of(*sub)) {
            if (option->get_lnames().empty() && option->get_snames().empty())
                line += " " + option->get_name();
        }
        out += fmt::format(".TP\n.B {}\n{}\n", escaped(line), escaped(sub->get_description()));
        for (const CLI::Option* option : options_of(*sub)) {
            if (option->get_lnames().empty() || option->get_lnames().front() == "help") continue;
            out += fmt::format(".RS\n.TP\n.B {}\n{}\n.RE\n", escaped("--" + option->get_lnames().front()),
                               escaped(option->get_description()));
        }
        add_manual(*sub, name, out);
    }
}

}  // namespace

std::string completion_of(const CLI::App& app, const std::string& shell) {
    std::string cases;
    add_cases(app, "", cases);
    const std::string zsh = shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "";
    return zsh + R"(_sluicectl() {
    local word path="" words="" current="${COMP_WORDS[COMP_CWORD]}" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        case "$word" in
        -*) ;;
        *) case "$path" in
            "") path="$word" ;;
            config | capture) path="$path $word" ;;
            esac ;;
        esac
    done
    case "$path" in
)" + cases +
           R"(    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    [[ $current == -* || ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -F _sluicectl sluicectl
)";
}

std::string manual_of(const CLI::App& app) {
    std::string out =
        ".TH SLUICECTL 8\n.SH NAME\nsluicectl \\- asks and steers the sluice daemon of this node\n"
        ".SH SYNOPSIS\n.B sluicectl\n[\\-\\-socket PATH] [\\-\\-json] COMMAND ...\n"
        ".SH OPTIONS\n.TP\n.B \\-\\-socket\nthe daemon's control socket (or SLUICE_SOCKET in the "
        "environment)\n"
        ".TP\n.B \\-\\-json\nthe answer as JSON\n.SH COMMANDS\n";
    add_manual(app, "", out);
    return out +
           ".SH EXIT STATUS\n0: done; 1: refused or failed; 2: the command line makes no sense; 3: no daemon "
           "answers.\n.SH SEE ALSO\ndocs/operations.md, docs/api.md\n";
}

}  // namespace sluice::ctl
