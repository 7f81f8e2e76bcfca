# Makes .venv with tfperf and the locked versions of all that it needs. The other tools source this at the root.

# install_tfperf [EXTRA]: leaves tfperf, editable, in .venv. Does nothing when that was done already.
install_tfperf() {
    local extra=${1:-} wanted
    use_or_make_venv
    wanted=$(fingerprint)
    if [[ $(cat ".venv/installed-$extra" 2>/dev/null) == "$wanted" ]]; then return; fi

    rm -f .venv/installed-*
    say "Installing tfperf and the locked versions of its dependencies into .venv (some 700 MB; takes 1-3 minutes) ..."
    pip_install pip setuptools wheel
    # Building with the locked setuptools keeps a new release of it from breaking the installation.
    PYTHONWARNINGS=ignore pip_install --no-build-isolation --editable ".${extra:+[$extra]}"
    compile_imports
    # With the extra comes all that goes without.
    echo "$wanted" | tee ".venv/installed-$extra" >.venv/installed-
}

# Changes with everything that an installation depends on. An editable one and its scripts hold the directory's name.
fingerprint() {
    { pwd; .venv/bin/python -V; cat setup.cfg setup.py tools/requirements.lock; } | cksum
}

# Compiles to bytecode what tfperf imports, a third of what pip would; proves by the way that TensorFlow runs here.
# Where bytecode is switched off, as containers like to, every start of TensorFlow would take three times as long.
compile_imports() {
    local imports="tensorflow, tensorflow_datasets, mlperf_logging.package_checker.package_checker, tensorboard.main"
    local output
    output=$(env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -c "import $imports" 2>&1) ||
        fail "TensorFlow was installed and does not start on this machine:"$'\n'"$output"
}

pip_install() {
    .venv/bin/python -u -m pip install --no-compile --disable-pip-version-check --progress-bar off \
        --constraint tools/requirements.lock "$@" | show_progress >&2
}

# Of what pip says, the lines that tell what takes long. Its errors do not come this way.
show_progress() {
    awk '/(Downloading|Using cached) .* MB\)/ { sub(/^ */, "  "); print; fflush() }
         /^Installing collected packages/ { print "  Unpacking ..."; fflush() }'
}

use_or_make_venv() {
    if ! .venv/bin/python -c "" 2>/dev/null; then
        make_venv
    elif ! is_supported .venv/bin/python; then
        fail ".venv has $(.venv/bin/python -V); tfperf runs on Python 3.10 to 3.13. Remove .venv and run this again."
    fi
    .venv/bin/python -m pip --version >/dev/null 2>&1 || add_pip
}

make_venv() {
    local python
    python=$(find_python) || fail "Found $(python3 -V 2>/dev/null || echo "no python3"); tfperf runs on Python 3.10" \
        "to 3.13. Install one of them so that python3.10 to python3.13, or python3, is on PATH, and run this again."
    say "Making .venv with $("$python" -V) ..."
    "$python" -m venv --clear --without-pip .venv || fail_for_want_of_venv "$python"
}

# Debian has ensurepip in a package of its own; a pip of the system's can stand in for it.
add_pip() {
    local packages
    packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    .venv/bin/python -m ensurepip >/dev/null 2>&1 ||
        "$(find_python)" -m pip install --quiet --target "$packages" pip 2>/dev/null ||
        fail_for_want_of_venv .venv/bin/python
}

fail_for_want_of_venv() {
    local version
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail "This Python $version lacks venv or pip. On Debian and Ubuntu: sudo apt install python$version-venv." \
        "Then run this again."
}

# Running it is the only proof: pyenv has names on PATH for interpreters that it refuses to start.
is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    local python
    for python in python3 python3.13 python3.12 python3.11 python3.10; do
        if is_supported "$python"; then
            echo "$python"
            return
        fi
    done
    return 1
}

say() {
    echo "$*" >&2
}

fail() {
    say "$*"
    exit 1
}
