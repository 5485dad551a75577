#!/bin/sh
# deps.sh -- what nib is built with: installs what is missing on Debian and Ubuntu, elsewhere says what it is.
packages="gcc make libpcre2-dev libutf8proc-dev libjansson-dev zlib1g-dev libcurl4-openssl-dev libssl-dev libcmocka-dev"
missing=
for p in $packages; do
    case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in *"ok installed") ;; *) missing="$missing $p" ;; esac
done
if ! command -v dpkg-query >/dev/null; then
    echo "nib needs a C compiler with OpenMP, make, PCRE2, utf8proc, jansson, zlib, libcurl (7.85 or later), libcrypto (OpenSSL 1.1 or later) and, for its tests, cmocka."
    for h in pcre2.h utf8proc.h jansson.h zlib.h curl/curl.h openssl/sha.h; do
        echo "#define PCRE2_CODE_UNIT_WIDTH 8
#include <$h>" | cc -E - >/dev/null 2>&1 || echo "missing: $h"
    done
    exit 0
fi
[ -z "$missing" ] && exit 0
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing:$missing"
# shellcheck disable=SC2086
$sudo apt-get update -q && $sudo apt-get install -q -y --no-install-recommends $missing
