#!/bin/sh
# Installs what camgate needs and this machine lacks: Debian 12 or 13, Ubuntu 24.04.
#
#   docker/setup.sh           to build and run it
#   docker/setup.sh --test    and to test it (Chromium, ffmpeg, coturn ...)
#
# May be called again at any time: what is there is left alone, and with nothing to
# do nothing is asked of the network. The packages are listed in docker/packages/.
# POSIX sh, so that also a system without bash gets to read why it does not fit.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

say() { printf '%s\n' "setup: $*"; }
die() {
  printf '%s\n' "setup: $1" >&2
  shift
  [ $# = 0 ] || printf '       %s\n' "$@" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
list() { for name in "$@"; do grep -v '^#' "$here/packages/$name.txt"; done; }

test=no
for argument in "$@"; do
  case $argument in
    --test) test=yes ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown argument $argument (there is only --test)" ;;
  esac
done
lists="run build"
[ $test = no ] || lists="$lists test"

# The browser of the tests. Ubuntu's chromium-browser is a stub where there are no
# snaps, hence the question for the version.
browser() {
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if have "$name" && "$name" --version >/dev/null 2>&1; then return 0; fi
  done
  return 1
}

# What is missing of the given packages, in one question to dpkg.
missing() {
  # The packages that dpkg does not know are a complaint and status 1: both expected.
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | sed -n 's/ installed$//p') || :
  for name in "$@"; do
    printf '%s\n' "$installed" | grep -qxF "$name" || printf '%s ' "$name"
  done
}

packages() {
  # shellcheck disable=SC2046,SC2086 # lists of words
  wanted=$(missing $(list $lists))
  chromium=no
  have node || wanted="$wanted nodejs"
  have npm || wanted="$wanted npm"
  if [ $test = yes ]; then browser || chromium=yes; fi
  had_coturn=yes
  case " $wanted " in *" coturn "*) had_coturn=no ;; esac
  if [ -z "$wanted" ] && [ $chromium = no ]; then
    say "all packages are there"
    return
  fi

  if [ "$(id -u)" = 0 ]; then
    as_root="env"
  elif have sudo; then
    as_root="sudo env"
  else
    [ $chromium = no ] || wanted="$wanted chromium"
    die "not root, and there is no sudo. As root, please:" "apt-get update && apt-get install --no-install-recommends $wanted"
  fi
  # A machine that has just come up may still be at its own updates: wait for them.
  apt="$as_root DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -o DPkg::Lock::Timeout=300"
  $apt update || say "not all package lists could be fetched; going on with those at hand"
  if [ $chromium = yes ]; then
    if LC_ALL=C apt-cache policy chromium | grep -q 'Candidate: [0-9]'; then
      wanted="$wanted chromium"
    elif have snap; then
      wanted="$wanted chromium-browser" # Ubuntu's package that installs the snap
    else
      die "the tests need Chromium, and this system offers it only as a snap, without snapd being here." \
        "Install google-chrome-stable or any other chromium, then call this again."
    fi
  fi
  say "installing $wanted"
  # shellcheck disable=SC2086
  $apt install -y --no-install-recommends $wanted
  # The tests start their own TURN server. One that runs for everybody was not asked for.
  if [ $had_coturn = no ] && [ -d /run/systemd/system ]; then
    $as_root systemctl disable --now coturn >/dev/null 2>&1 || :
  fi
  if [ $chromium = yes ]; then
    browser || die "Chromium was installed but does not start. Where it is a snap, snapd has to run;" \
      "google-chrome-stable or any other chromium does as well."
  fi
}

# Another system than Debian's kind: somebody may have installed all by hand.
elsewhere() {
  lacking=
  for tool in cc pkg-config gst-inspect-1.0 npm; do
    have "$tool" || lacking="$lacking $tool"
  done
  if [ -z "$lacking" ]; then
    for module in openssl gstreamer-1.0 gstreamer-app-1.0 gstreamer-rtp-1.0 gstreamer-sdp-1.0 gstreamer-video-1.0 gstreamer-webrtc-1.0; do
      pkg-config --exists "$module" || lacking="$lacking $module.pc"
    done
    for element in rtspsrc h264parse h265parse webrtcbin nicesrc dtlsdec srtpdec opusenc x264enc clockoverlay hlssink2 jpegenc; do
      gst-inspect-1.0 "$element" >/dev/null 2>&1 || lacking="$lacking $element"
    done
    # Either does: that of the bad plugins, or libav's where they were built without it.
    for either in voaacenc/avenc_aac openh264dec/avdec_h264; do
      gst-inspect-1.0 "${either%/*}" >/dev/null 2>&1 || gst-inspect-1.0 "${either#*/}" >/dev/null 2>&1 ||
        lacking="$lacking ${either%/*}"
    done
  fi
  [ -z "$lacking" ] || die "this system has no apt-get, so nothing was installed. Missing:$lacking" \
    "Please install with its own tools: a C compiler, pkg-config, OpenSSL with development files, Node.js with" \
    "npm, and GStreamer 1.22 or later: its core, base, good, bad, ugly and libnice plugins, and the development" \
    "files of core, base and bad." \
    "For the tests also: gst-rtsp-server with development files, GStreamer's libav plugin, Chromium, ffmpeg," \
    "coturn, gnutls-cli." \
    "Known to Debian as: $(list run build test | tr '\n' ' ')"
  say "no apt-get here, but all that is needed to build and run is there"
}

# npm's packages for a directory, as this user and only when they changed: hls.js for
# the page, which the build puts into the binary; what the browser tests load.
npm_packages() {
  stamp=$root/$1/node_modules/.installed
  if cmp -s "$root/$1/package-lock.json" "$stamp"; then return 0; fi
  say "npm ci in $1"
  npm ci --prefix "$root/$1" --no-audit --no-fund
  cp "$root/$1/package-lock.json" "$stamp"
}

rust() {
  wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
  if have cargo && have rustc; then
    found=$(rustc --version | cut -d' ' -f2)
    oldest=$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n1)
    [ "$oldest" != "$wanted" ] || return 0
    found="rustc $found is too old"
  else
    found="there is no Rust"
  fi
  die "$found: camgate needs $wanted or later. It is not installed by this script. Please get it" \
    "from https://rustup.rs or, on Debian 13 and Ubuntu 24.04, by: apt install rustup && rustup default stable" \
    "(with an older one of rustup's: rustup update stable), then call this again."
}

if have apt-get && have dpkg-query; then packages; else elsewhere; fi
pkg-config --atleast-version=1.22 gstreamer-1.0 ||
  die "GStreamer $(pkg-config --modversion gstreamer-1.0) is too old: camgate needs 1.22 or later (Debian 12 or 13, Ubuntu 24.04)."
rust
npm_packages src/web
[ $test = no ] || npm_packages tests/browser
say "ready"
