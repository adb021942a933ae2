# Sourced by scripts/demo, scripts/test and scripts/bench: says what this machine lacks, installs the npm packages, and
# leaves `bun` and `python` (an interpreter with venv, or empty) set. Nothing is installed outside the project's folder.

say() { printf '%s\n' "$*"; }

# python_with_venv: the first Python of 3.11 or newer that can make a virtual environment. The pinned packages were tried
# on 3.11, so that one goes first. PYTHON names another.
python_with_venv() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
}

missing=()
check_node() {
  if ! command -v node >/dev/null 2>&1; then
    missing+=('node: install Node 20 or newer')
  elif [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
    missing+=("node: this is $(node --version), Node 20 or newer is needed")
  fi
  command -v npm >/dev/null 2>&1 || missing+=('npm: it comes with Node; on Debian and Ubuntu it is a package of its own')
}

check_python() {
  python=$(python_with_venv)
  [ -n "$python" ] || missing+=('python3: install Python 3.11 or newer with its venv module (on Debian and Ubuntu: python3-venv)')
}

check_git() {
  command -v git >/dev/null 2>&1 || missing+=('git: install git; one deployment comes from a git repository')
}

# stop_if_missing NAME: names everything that is missing, at once, and ends the script.
stop_if_missing() {
  [ ${#missing[@]} -eq 0 ] && return
  say "$1 needs what this machine does not have:" >&2
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
}

# waiting TEXT COMMAND...: runs the command with its output in .cache/, shows the seconds while it runs, and shows the
# output only when it fails.
waiting() {
  local text=$1 log started=$SECONDS pid
  shift
  mkdir -p .cache
  log=$(mktemp .cache/step.XXXXXX)
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -f "$log"; exit 130' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    if [ -t 1 ]; then printf '\r%s … %s s ' "$text" $((SECONDS - started)); fi
    sleep 0.5
  done
  if wait "$pid"; then
    if [ -t 1 ]; then printf '\r'; fi
    printf '%s: done in %s s\n' "$text" $((SECONDS - started))
    trap - INT TERM
    rm -f "$log"
  else
    printf '\n%s failed:\n' "$text" >&2
    tail -n 40 "$log" >&2
    rm -f "$log"
    exit 1
  fi
}

# npm leaves a copy of the lock file; where it is at least as new as ours, the packages are those of the lock file.
install_packages() {
  if [ node_modules/.package-lock.json -nt package-lock.json ] && [ node_modules/.package-lock.json -nt package.json ]; then
    say 'npm packages: already installed'
  else
    waiting 'npm packages (npm ci)' npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
  fi
  bun=node_modules/.bin/bun
  # Where npm was told to run no install scripts, these launchers are stubs until their own scripts have run.
  if ! "$bun" --version >/dev/null 2>&1; then waiting 'Bun' node node_modules/bun/install.js; fi
}
