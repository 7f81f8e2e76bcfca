# Makes .venv with tfperf and the locked versions of its dependencies. The other tools source this file from the root.

# install_tfperf [EXTRA]: installs tfperf, editable, into .venv, unless the same installation is already there.
install_tfperf() {
    local extra=${1:-} wanted
    use_or_make_venv
    wanted=$(fingerprint)
    if [[ $(cat ".venv/installed-$extra" 2>/dev/null) == "$wanted" ]]; then return; fi

    rm -f .venv/installed-*
    say "Installing tfperf and the locked versions of its dependencies into .venv (about 700 MB, 1 to 3 minutes) ..."
    pip_install pip setuptools wheel
    # Builds with the locked setuptools, so that a new release can't break the installation.
    PYTHONWARNINGS=ignore pip_install --no-build-isolation --editable ".${extra:+[$extra]}"
    compile_imports
    # An installation with the extra also satisfies one without.
    echo "$wanted" | tee ".venv/installed-$extra" >.venv/installed-
}

# Changes with everything that an installation depends on. An editable install and its scripts contain the directory.
fingerprint() {
    { pwd; .venv/bin/python -V; cat setup.cfg setup.py tools/requirements.lock; } | cksum
}

# Compiles what tfperf imports to bytecode, a third of what pip would compile, and proves that TensorFlow starts here.
# Without bytecode, which many containers switch off, every start of TensorFlow takes three times as long.
compile_imports() {
    local imports="tensorflow, tensorflow_datasets, mlperf_logging.package_checker.package_checker, tensorboard.main"
    local output
    output=$(env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -c "import $imports" 2>&1) ||
        fail "TensorFlow is installed but does not start on this machine:"$'\n'"$output"
}

pip_install() {
    .venv/bin/python -u -m pip install --no-compile --disable-pip-version-check --progress-bar off \
        --constraint tools/requirements.lock "$@" | show_progress >&2
}

# Keeps the lines of pip's output that show what takes long. Its errors go elsewhere.
show_progress() {
    awk '/(Downloading|Using cached) .* MB\)/ { sub(/^ */, "  "); print; fflush() }
         /^Installing collected packages/ { print "  Unpacking ..."; fflush() }'
}

use_or_make_venv() {
    if ! .venv/bin/python -c "" 2>/dev/null; then
        make_venv
    elif ! is_supported .venv/bin/python; then
        fail ".venv has $(.venv/bin/python -V); tfperf runs on Python 3.10 to 3.13. Remove .venv and try again."
    fi
    .venv/bin/python -m pip --version >/dev/null 2>&1 || add_pip
}

make_venv() {
    local python
    python=$(find_python) || fail "Found $(python3 -V 2>/dev/null || echo "no python3"); tfperf runs on Python 3.10" \
        "to 3.13. Install one of them, make sure that python3 or python3.10 to python3.13 is on PATH, and try again."
    say "Making .venv with $("$python" -V) ..."
    "$python" -m venv --clear --without-pip .venv || fail_without_venv "$python"
}

# Debian ships ensurepip as a separate package; the system's pip can replace it.
add_pip() {
    local packages
    packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    .venv/bin/python -m ensurepip >/dev/null 2>&1 ||
        "$(find_python)" -m pip install --quiet --target "$packages" pip 2>/dev/null ||
        fail_without_venv .venv/bin/python
}

fail_without_venv() {
    local version
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail "This Python $version lacks venv or pip. On Debian and Ubuntu: sudo apt install python$version-venv." \
        "Then try again."
}

# Runs the interpreter, because pyenv puts names on PATH for interpreters that it refuses to start.
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
