# shellcheck shell=bash
# Sourced. An apt of its own: sources, lists and cache under one directory, so that packages of other suites can be
# had without the machine's configuration or package lists knowing of them.

# private_apt DIRECTORY SUITE...: makes apt use only these suites of the machine's Debian mirror, from here on.
private_apt() {
    local directory=$1 suite mirror security file=/etc/apt/sources.list.d/debian.sources
    shift
    mkdir -p "$directory"/{sources.d,lists/partial,cache/archives/partial}
    mirror=http://deb.debian.org/debian security=http://deb.debian.org/debian-security
    if [[ -e $file ]]; then
        mirror=$(awk '/^URIs:/ && $2 !~ /security/ {print $2; exit}' "$file")
        security=$(awk '/^URIs:/ && $2 ~ /security/ {print $2; exit}' "$file")
    fi
    rm -f "$directory"/sources.d/*
    for suite in "$@"; do
        local uri=$mirror
        [[ $suite != *-security ]] || uri=$security
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$uri" "$suite" \
            /usr/share/keyrings/debian-archive-keyring.gpg >"$directory/sources.d/$suite.sources"
    done
    cat >"$directory/apt.conf" <<END
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$directory/sources.d";
Dir::State::Lists "$directory/lists";
Dir::Cache "$directory/cache";
APT::Sandbox::User "root";
DPkg::Lock::Timeout "300";
Acquire::Retries "3";
END
    export APT_CONFIG=$directory/apt.conf
    apt-get -qq update
}
