# stamp.sh -- sourced at the root of the repository: how rows of bench/results and tests/results begin.  A commit is -dirty if
# anything but such rows differs from it.
commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- . ':!bench/results' ':!tests/results')" ] || commit=$commit-dirty
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 | tr -d ,)
stamp=$(date -u +%Y-%m-%dT%H:%MZ),$commit,${cpu:-unknown processor}
