//! The one-command start, as a person calls it.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]
#![expect(clippy::disallowed_methods, reason = "it writes what it made up")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::time::Duration;

use amfj_sync_tests::harness::{ConfigBuilder, IntegrationBuilder, Scratch, WrittenConfig};
use amfj_sync_tests::sim::amfj::{AmfjOptions, AmfjSim};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Traps};
use amfj_sync_tests::sim::kandji::{KandjiOptions, KandjiSim};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

/// Much more than it takes, for machines that do other things as well.
const LIMIT: Duration = Duration::from_mins(2);

/// `up` looks for the others beside itself, and Cargo builds only `amfj-sync` for these tests. `tests/run`
/// builds all of them beforehand; called without it, these tests see to it that they are there.
fn build_the_others() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_amfj-sync")).parent().unwrap();
        if ["fetcher", "reconciler", "writer", "simulate", "private-broker"]
            .iter()
            .all(|name| folder.join(name).is_file())
        {
            return;
        }
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--workspace", "--bins", "--target-dir"])
            .arg(folder.parent().unwrap());
        assert!(build.status().unwrap().success());
    });
}

/// A call of `amfj-sync up`; killed when dropped.
struct Up {
    child: Child,
    scratch: Scratch,
}

impl Up {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        build_the_others();
        let scratch = Scratch::new().unwrap();
        let file = |name: &str| fs::File::create(scratch.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_amfj-sync"))
            .arg("up")
            .args(arguments)
            .envs(environment.iter().copied())
            // Whatever it forgets to remove is found here.
            .env("TMPDIR", scratch.path())
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap();
        Self { child, scratch }
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path().to_owned()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path().join(name)).unwrap()
    }

    fn wait_for(&mut self, text: &str) {
        let began = Instant::now();
        while !self.text("out").contains(text) {
            assert!(began.elapsed() < LIMIT, "no {text:?} in:\n{}\n{}", self.text("out"), self.text("err"));
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}:\n{}\n{}", self.text("out"), self.text("err"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn finish(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < LIMIT, "it does not end:\n{}\n{}", self.text("out"), self.text("err"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already gone in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of this workspace.
fn beside(name: &str) -> PathBuf {
    build_the_others();
    Path::new(env!("CARGO_BIN_EXE_amfj-sync")).with_file_name(name)
}

fn environment_of(written: &WrittenConfig) -> Vec<(&str, &str)> {
    written.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Processes that were told of a file or folder in `folder`: brokers, simulators, workers.
fn processes_of(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder.to_str().unwrap())).collect()
}

fn assert_nothing_is_left(up: &Up) {
    let began = Instant::now();
    while !processes_of(&up.folder()).is_empty() && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(processes_of(&up.folder()), [""; 0], "processes are left");
}

#[test]
fn a_simulated_fleet_arrives_and_its_changes_too() {
    let mut up = Up::start(&["--once", "--devices", "60"], &[]);
    let status = up.finish();
    let (out, err) = (up.text("out"), up.text("err"));
    assert!(status.success(), "{status}:\n{out}\n{err}");
    for expected in [
        "Kandji: 60 devices",
        "user records created",
        "Checked out to",
        "→ Dana Reyes",
        "→ Reception ",
        "→ 26.1",
        "Front Desk iPad",
        "unmatched: No free asset has the name of \"Loan Pool iPad 12\"",
        "│ changes that failed            ┆         – ┆               – ┆           – │",
        "is not guessed",
        "All of it arrived",
    ] {
        assert!(out.contains(expected), "no {expected:?} in:\n{out}");
    }
    assert_nothing_is_left(&up);
    let left: Vec<_> = fs::read_dir(up.folder()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 2, "besides its output it left {left:?}");
}

/// A person who leaves it running, and works in another shell.
#[test]
fn the_two_lines_to_paste_make_every_command_work() {
    let mut up = Up::start(&["--stay", "--devices", "60"], &[]);
    up.wait_for("Control-C stops everything");
    let out = up.text("out");
    let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("export ")).collect();
    assert_eq!(lines.len(), 2, "{out}");
    let commands = [
        "amfj-sync check",
        "amfj-sync trigger",
        "amfj-sync status",
        "amfj-sync plan",
        "amfj-sync explain 'Front Desk iPad'",
        "amfj-sync history 'Front Desk iPad'",
        "amfj-sync dead list",
    ];
    let (password, left_open) = (broker_password(&up.folder()), open_to_others(&up.folder()));
    assert_eq!(left_open, [""; 0], "others can read what it made");
    for line in processes_of(&up.folder()) {
        assert!(!line.contains(&password), "every user of this machine can read: {line}");
    }
    each_worker_has_only_its_tokens(&out);
    let script = format!("{}\nset -ex\n{}", lines.join("\n"), commands.join("\n"));
    // A shell that knows nothing else.
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir("/").env_clear().env("PATH", "/usr/bin:/bin");
    let done = shell.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{}\n{}", said(&done.stdout), said(&done.stderr));
    up.signal(Signal::SIGINT);
    assert!(up.finish().success(), "{}", up.text("err"));
    assert!(up.text("err").contains("everything is stopped"), "{}", up.text("err"));
    assert_nothing_is_left(&up);
}

/// What is in a folder, others than its owner have no right to; its own test made what lies at the top.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
        if about.mode() & 0o077 != 0 && !path.ends_with("out") && !path.ends_with("err") {
            open.push(format!("{} {:o}", path.display(), about.mode()));
        }
        if about.is_dir() {
            open.extend(open_to_others(&path));
        }
    }
    open
}

/// As its configuration has it: in a file of its own, made new for this start.
fn broker_password(folder: &Path) -> String {
    let folders = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let texts = folders.filter_map(|folder| fs::read_to_string(folder.join("rabbitmq.conf")).ok());
    let passwords: Vec<String> = texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| line.strip_prefix("default_pass = ").map(str::to_owned))
        .collect();
    assert!(passwords.len() == 1 && passwords[0].len() >= 40, "{passwords:?}");
    passwords[0].clone()
}

/// Where this may look into the environment of processes that say nothing of their memory: root may.
fn each_worker_has_only_its_tokens(out: &str) {
    for (name, has_kandji, has_amfj) in
        [("fetcher", true, true), ("reconciler", false, false), ("writer", false, true)]
    {
        let line = out.lines().find(|line| line.contains("processes fetcher")).unwrap();
        let id = line.split(&format!("{name} ")).nth(1).unwrap();
        let id: String = id.chars().take_while(char::is_ascii_digit).collect();
        let Ok(environment) = fs::read(format!("/proc/{id}/environ")) else { continue };
        let environment = String::from_utf8_lossy(&environment);
        assert!(environment.contains("PATH="), "{name}");
        assert_eq!(environment.contains("KANDJI_TOKEN_ACME="), has_kandji, "{name}");
        assert_eq!(environment.contains("AMFJ_TOKEN_ACME="), has_amfj, "{name}");
    }
}

#[test]
fn a_signal_while_it_starts_says_what_stops() {
    let mut up = Up::start(&["--devices", "60"], &[]);
    // The simulators are there, RabbitMQ is on its way.
    up.wait_for("simulators");
    let began = Instant::now();
    while processes_of(&up.folder()).is_empty() && began.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(10));
    }
    up.signal(Signal::SIGINT);
    assert_eq!(up.finish().code(), Some(130), "{}", up.text("err"));
    let err = up.text("err");
    assert!(
        err.contains("stopping the simulators and RabbitMQ …") && err.contains("everything is stopped"),
        "{err}"
    );
    assert_nothing_is_left(&up);
}

#[test]
fn a_folder_for_temporary_files_that_cannot_be_used_is_named_at_once() {
    // Nobody can write there, root included.
    let began = Instant::now();
    for (program, arguments) in [("amfj-sync", &["up"][..]), ("private-broker", &[])] {
        let mut call = Command::new(beside(program));
        let done = call.args(arguments).env("TMPDIR", "/proc").stdin(Stdio::null()).output().unwrap();
        let err = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && err.contains("/proc") && err.contains("TMPDIR"), "{err}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "twice within ten seconds");
}

#[test]
fn a_private_broker_explains_itself() {
    build_the_others();
    let done = Command::new(beside("private-broker")).arg("--help").output().unwrap();
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && out.contains("Control-C") && out.contains("broker.url"), "{out}");
}

#[test]
fn a_signal_in_the_middle_stops_everything() {
    let mut up = Up::start(&["--devices", "60"], &[]);
    up.wait_for("First run");
    assert!(processes_of(&up.folder()).len() >= 4, "{:?}", processes_of(&up.folder()));
    up.signal(Signal::SIGINT);
    assert_eq!(up.finish().code(), Some(130), "{}", up.text("err"));
    assert_nothing_is_left(&up);
}

#[test]
fn killed_it_takes_everything_with_it() {
    let mut up = Up::start(&["--devices", "60"], &[]);
    up.wait_for("First run");
    up.signal(Signal::SIGKILL);
    up.finish();
    assert_nothing_is_left(&up);
}

#[test]
fn a_worker_that_dies_ends_it_and_its_log_stays() {
    let mut up = Up::start(&["--devices", "60"], &[]);
    up.wait_for("First run");
    let out = up.text("out");
    let writer = out.split("writer ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    kill(Pid::from_raw(writer.parse().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(up.finish().code(), Some(1));
    let err = up.text("err");
    assert!(err.contains("the writer ended with signal: 9"), "{err}");
    let kept = err.split("are kept in ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert!(Path::new(kept).join("logs/writer.log").is_file(), "{err}");
    assert_nothing_is_left(&up);
}

#[test]
fn options_that_say_nothing_where_they_stand_are_refused() {
    let program = env!("CARGO_BIN_EXE_amfj-sync");
    let table: [(&[&str], &str); 6] = [
        (&["up", "--config", "my.toml", "--devices", "60"], "--devices"),
        (&["--config", "my.toml", "up", "--once"], "--once"),
        (&["up", "--yes"], "--config"),
        (&["up", "--integration", "acme"], "--integration"),
        (&["up", "--once", "--stay"], "--stay"),
        // The script around this installs no broker for what is refused.
        (&["up", "--needs-broker", "--yes"], "--config"),
    ];
    for (arguments, named) in table {
        let done = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
        let err = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            done.status.code() == Some(2) && err.contains(named),
            "{arguments:?}: {}: {err}",
            done.status
        );
        assert!(done.stdout.is_empty(), "a refusal is no result");
    }
}

#[test]
fn a_wrong_configuration_is_refused_before_anything_starts() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.path().join("wrong.toml");
    fs::write(&path, "[brokr]\nurl = \"amqp://127.0.0.1:1/%2f\"\n").unwrap();
    let mut up = Up::start(&["--config", path.to_str().unwrap()], &[]);
    assert_eq!(up.finish().code(), Some(2));
    let err = up.text("err");
    assert!(err.contains("wrong.toml") && err.contains("brokr") && err.contains("broker"), "{err}");
}

/// A tenant and a site of their own, and a configuration for them that names no broker.
async fn own_services(scratch: &Scratch, mode: &str) -> (KandjiSim, AmfjSim, WrittenConfig) {
    let fleet = Fleet::generate(FleetSpec { devices: 30, seed: 3, traps: Traps::None });
    let kandji = KandjiSim::start(&fleet, KandjiOptions::default()).await.unwrap();
    let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
    let integration = IntegrationBuilder::new("acme", &kandji.url(), &amfj.url())
        .tokens(&kandji.token(), &amfj.token())
        .set("mode", mode)
        .field("Serial Number", "serial_number");
    let written = ConfigBuilder::new("amqp://left-out", "t").integration(integration).write(scratch).unwrap();
    let text = fs::read_to_string(&written.path).unwrap().replace("url = \"amqp://left-out\"\n", "");
    fs::write(&written.path, text).unwrap();
    (kandji, amfj, written)
}

/// The line to paste is enough, and no screen shows the password.
fn commands_find_the_broker(up: &Up) {
    let out = up.text("out");
    let line = out.lines().find(|line| line.starts_with(". /")).unwrap();
    let script = format!("{line}\nset -ex\namfj-sync plan\namfj-sync dead list");
    let mut shell = Command::new("sh");
    let done = shell.args(["-c", &script]).current_dir("/").env_clear().env("PATH", "/usr/bin:/bin").output();
    let done = done.unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    let password = broker_password(&up.folder());
    assert!(!out.contains(&password) && !up.text("err").contains(&password), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p25_own_services_are_served_until_control_c_and_plan_writes_nothing() {
    let scratch = Scratch::new().unwrap();
    let (kandji, amfj, written) = own_services(&scratch, "plan").await;
    let mut up = Up::start(&["--config", written.path.to_str().unwrap()], &environment_of(&written));
    let up = tokio::task::spawn_blocking(move || {
        up.wait_for("Control-C stops everything");
        up.wait_for("plan only");
        commands_find_the_broker(&up);
        up.signal(Signal::SIGINT);
        let status = up.finish();
        assert!(status.success(), "{status}: {}", up.text("err"));
        up
    });
    let up = up.await.unwrap();
    assert!(
        up.text("out").contains("acme: the last run published, 30 plan only, 0 changes made"),
        "{}",
        up.text("out")
    );
    assert_eq!(amfj.write_count(), 0);
    assert!(kandji.request_count() > 0 && kandji.violations().is_empty());
    assert_nothing_is_left(&up);
}

#[tokio::test(flavor = "multi_thread")]
async fn p25_what_writes_asks_and_without_a_terminal_it_does_not_hang() {
    let scratch = Scratch::new().unwrap();
    let (kandji, amfj, written) = own_services(&scratch, "apply").await;
    let path = written.path.to_str().unwrap();
    let mut up = Up::start(&["--config", path], &environment_of(&written));
    assert_eq!(up.finish().code(), Some(2));
    let err = up.text("err");
    assert!(err.contains("acme: mode = \"apply\" writes every change to") && err.contains("--yes"), "{err}");
    assert_eq!((kandji.request_count(), amfj.request_count()), (0, 0));

    // The logs of earlier starts stay.
    let logs = scratch.path().join("var/logs");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("writer.log"), "of yesterday\n").unwrap();
    for (path, mode) in [(&logs, 0o755), (&logs.join("writer.log"), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut up = Up::start(&["--yes", "--config", path], &environment_of(&written));
    let up = tokio::task::spawn_blocking(move || {
        up.wait_for("30 in sync");
        up.signal(Signal::SIGINT);
        assert!(up.finish().success(), "{}", up.text("err"));
        up
    });
    let up = up.await.unwrap();
    assert!(amfj.write_count() > 0);
    let out = up.text("out");
    for place in ["var/fetcher", "var/reconciler", "var/writer", "var/logs"] {
        let place = scratch.path().join(place).display().to_string();
        assert!(out.contains(&place), "no {place} in:\n{out}");
    }
    let log = fs::read_to_string(logs.join("writer.log")).unwrap();
    assert!(log.starts_with("of yesterday\n") && log.lines().count() > 1, "{log}");
    // What was there stays a person's to mend, which is said; the rest is closed.
    assert!(up.text("err").contains(&format!("chmod 700 {}", logs.display())), "{}", up.text("err"));
    let var = scratch.path().join("var");
    let open: Vec<String> =
        open_to_others(&var).into_iter().filter(|path| !path.contains("logs 40755")).collect();
    assert_eq!(open, [""; 0]);
    assert_nothing_is_left(&up);
}

#[tokio::test(flavor = "multi_thread")]
async fn p25_a_person_who_says_no_starts_nothing() {
    let scratch = Scratch::new().unwrap();
    let (_kandji, amfj, written) = own_services(&scratch, "apply").await;
    build_the_others();
    let pair = nix::pty::openpty(None, None).unwrap();
    let path = written.path.to_str().unwrap();
    let out = fs::File::create(scratch.path().join("out")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_amfj-sync"))
        .args(["up", "--config", path])
        .envs(environment_of(&written))
        .env("TMPDIR", scratch.path())
        .current_dir(scratch.path())
        .stdin(Stdio::from(pair.slave))
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    // It is read once the question is asked; until then the terminal keeps it.
    fs::File::from(pair.master.try_clone().unwrap()).write_all(b"n\n").unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    let said = fs::read_to_string(scratch.path().join("out")).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("Write to AMFJ? [y/N]") && said.contains("nothing was started"), "{said}");
    assert_eq!(amfj.write_count(), 0);
}
