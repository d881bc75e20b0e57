# shellcheck shell=bash
# A private apt state beside the machine's own; sourced after lib.sh.
# It uses the machine's configured Debian mirrors, nothing else, and keeps its
# lists in the current folder.

# apt_state ARCHITECTURE SUITE TYPE
#   SUITE  the release to read ("" for the machine's own)
#   TYPE   deb or deb-src
# Afterwards `apt_run TOOL ARGUMENT...` runs apt-get or apt-cache on it.
apt_state() {
    local arch=$1 suite=$2 type=$3 own uri release component
    own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    mkdir -p apt/lists/partial apt/cache/archives/partial
    : >apt/status
    apt-get indextargets --format \
        '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' | sort -u >apt/targets
    while read -r origin uri release component; do
        case $origin:$release in
        Debian:"$own" | Debian:"$own"-updates | Debian:"$own"-security)
            release=${suite:-$own}${release#"$own"}
            printf '%s [signed-by=%s] %s %s %s\n' "$type" \
                /usr/share/keyrings/debian-archive-keyring.gpg \
                "$uri" "$release" "$component"
            ;;
        esac
    done <apt/targets >apt/sources.list
    [ -s apt/sources.list ] ||
        die "no Debian mirror is configured: run apt-get update first"
    apt_options=(
        -o "APT::Architecture=$arch"
        -o "APT::Architectures=$arch"
        -o "APT::Sandbox::User=root"
        -o "Acquire::Languages=none"
        -o "Acquire::Retries=3"
        -o "Dir::Etc::SourceList=$PWD/apt/sources.list"
        -o "Dir::Etc::SourceParts=/dev/null"
        -o "Dir::State::Lists=$PWD/apt/lists"
        -o "Dir::State::Status=$PWD/apt/status"
        -o "Dir::Cache=$PWD/apt/cache"
    )
    quiet "$PWD/log" apt_run apt-get -qq update
}

apt_run() {
    local tool=$1
    shift
    "$tool" "${apt_options[@]}" "$@"
}
