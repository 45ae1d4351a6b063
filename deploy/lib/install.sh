# Installs what a Debian or Ubuntu machine lacks. To be sourced by bash; defines functions only.
# Nothing is installed that is there already, and no service is started.

# say TEXT: one line of progress.
say() {
  printf '==> %s\n' "$*" >&2
}

# give_up TEXT: says what is wrong and what to do, and ends the script.
give_up() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# as_root COMMAND...: runs it as root, through sudo if need be.
as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    give_up "this needs root and there is no sudo; run as root: $*"
  fi
}

# install_packages PACKAGE...: from the distribution, without questions.
install_packages() {
  command -v apt-get >/dev/null || give_up "install these with your package manager, then try again: $*"
  # Somebody else may be installing; and nothing here is worth a terminal of its own.
  local options=(-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
  say "installing $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" update -qq \
    || say "the package lists could not be renewed; trying with the old ones"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install -y -qq --no-install-recommends "$@" \
    >/dev/null || give_up "apt-get could not install $*; its message is above"
}

# The package starts a broker on the usual port and enables it for every boot. The tests and the
# demonstration run private nodes, so both are prevented: by this guard while it is installed, and
# by disabling the unit afterwards.
without_starting_services() {
  local guard=/usr/sbin/policy-rc.d own=
  if [[ ! -e $guard ]]; then
    own=1
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $guard && chmod 755 $guard"
  fi
  # In a shell of its own, so that the guard goes away also when the installation gives up.
  local status=0
  ("$@") || status=$?
  if [[ -n $own ]]; then
    as_root rm -f "$guard"
  fi
  return "$status"
}

# ensure_rabbitmq: RabbitMQ's programs, without a running service.
ensure_rabbitmq() {
  if [[ -n ${AMFJ_SYNC_RABBITMQ_SERVER:-} ]]; then
    [[ -x $AMFJ_SYNC_RABBITMQ_SERVER ]] || give_up "AMFJ_SYNC_RABBITMQ_SERVER is not a program: $AMFJ_SYNC_RABBITMQ_SERVER"
    return
  fi
  [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] && return
  without_starting_services install_packages rabbitmq-server || exit 1
  if [[ -d /run/systemd/system ]]; then
    as_root systemctl disable --quiet rabbitmq-server || say "could not disable the service rabbitmq-server"
  fi
  [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] \
    || give_up "the package rabbitmq-server has no /usr/lib/rabbitmq/bin/rabbitmq-server; set AMFJ_SYNC_RABBITMQ_SERVER"
}

# ensure_prometheus: Prometheus and promtool, without a running service; the tests of alerts and dashboard use them.
ensure_prometheus() {
  command -v prometheus >/dev/null && command -v promtool >/dev/null && return
  without_starting_services install_packages prometheus || exit 1
  if [[ -d /run/systemd/system ]]; then
    as_root systemctl disable --quiet prometheus || say "could not disable the service prometheus"
  fi
  command -v promtool >/dev/null || give_up "the package prometheus has no promtool; put prometheus and promtool on the PATH"
}

# ensure_faketime: the library that the fault campaign moves clocks with. Without it the campaign leaves
# those faults out.
ensure_faketime() {
  compgen -G '/usr/lib*/*/faketime/libfaketimeMT.so.1' >/dev/null && return
  compgen -G '/usr/lib*/faketime/libfaketimeMT.so.1' >/dev/null && return
  (install_packages libfaketime) || say "no libfaketime here: the clock stays right in this campaign"
}

# ensure_build_tools: Rust, and what Rust needs to link.
ensure_build_tools() {
  if ! command -v cargo >/dev/null && [[ -r $HOME/.cargo/env ]]; then
    # shellcheck disable=SC1091 # written by rustup
    . "$HOME/.cargo/env"
  fi
  command -v cargo >/dev/null \
    || give_up "Rust is missing (at least ${RUST_AT_LEAST:-1.95}; Debian's own is older): install it from https://rustup.rs, then try again"
  local missing=()
  command -v cc >/dev/null || missing+=(build-essential)
  command -v flock >/dev/null || missing+=(util-linux)
  if ((${#missing[@]})); then
    install_packages "${missing[@]}"
  fi
}

# cargo_path: where `cargo install` puts programs, if the shell does not know it yet.
cargo_path() {
  local folder=${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}/bin
  case :$PATH: in
    *:"$folder":*) ;;
    *) PATH=$PATH:$folder ;;
  esac
}

# cargo_tool_version NAME: the release that is installed where there is none. Renew these by hand, after a look at what
# changed: whatever is built here runs with the rights of whoever calls this.
cargo_tool_version() {
  case $1 in
    cargo-nextest) echo 0.9.143 ;;
    cargo-deny) echo 0.20.2 ;;
    cargo-shear) echo 1.12.0 ;;
    cargo-deb) echo 3.8.0 ;;
    *) give_up "deploy/lib/install.sh names no version of $1" ;;
  esac
}

# ensure_cargo_tool NAME: a cargo subcommand, built from source once, with the dependencies that its makers locked; fails
# if that fails. One that is there already is used, whatever its version.
ensure_cargo_tool() {
  cargo_path
  command -v "$1" >/dev/null && return
  local version
  version=$(cargo_tool_version "$1") || return
  say "building $1 $version, once for this machine (a few minutes)"
  # A build without optimisation takes a quarter of the time, and these tools mostly wait.
  env -u CARGO_TARGET_DIR cargo install --locked --version "$version" --quiet --debug "$1"
}
