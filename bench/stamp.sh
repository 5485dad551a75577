# stamp.sh -- sourced at the root of the repository: how a row of bench/results begins.
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 | tr -d ,)
stamp=$(date -u +%Y-%m-%dT%H:%MZ),$(git rev-parse --short HEAD),${cpu:-unknown processor}
