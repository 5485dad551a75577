#!/bin/sh
# arm.sh -- cross-compiles nib for aarch64 and runs the tests of its kernels (scalar and NEON) under qemu-user; on Debian and Ubuntu
# it installs what that takes.  Ends with "N passed, N failed, N skipped".
cd "$(dirname "$0")/.." || exit 1
cross=aarch64-linux-gnu-gcc
if ! command -v $cross >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo dpkg --add-architecture arm64 && $sudo apt-get update -q &&
        $sudo apt-get install -q -y --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libgomp1:arm64 libpcre2-dev:arm64 libutf8proc-dev:arm64 \
            libjansson-dev:arm64 zlib1g-dev:arm64 libcurl4-openssl-dev:arm64 libssl-dev:arm64 libcmocka-dev:arm64 || { echo "skipped: arm: no cross compiler"; exit 0; }
fi
build=build/$cross-release
tests=
for t in ${TESTS:-test_vec test_steps test_models test_ops test_quantized}; do tests="$tests $build/tests/$t"; done
# shellcheck disable=SC2086
make -s -j"$(nproc)" CC=$cross $build/nib $tests >/dev/null && NIB=$build/nib EXAMPLES=$build/examples tests/run.sh $tests
