//! What a person pastes into a shell, so that every command finds programs, configuration and tokens.

use std::path::Path;

use amfj_sync_security::screen::for_a_shell;
use amfj_sync_tests::harness::WrittenConfig;
use anyhow::Result;

/// Two lines for a shell.
pub(super) fn lines(written: &WrittenConfig, programs: &Path) -> Result<String> {
    let path = std::path::absolute(&written.path)?;
    let mut settings = vec![assignment("AMFJ_SYNC_CONFIG", &path.display().to_string())];
    settings.extend(written.environment.iter().map(|(name, value)| assignment(name, value)));
    let programs = for_a_shell(&programs.display().to_string());
    Ok(format!("export {}\nexport PATH={programs}:\"$PATH\"", settings.join(" ")))
}

/// `NAME=VALUE`, as a shell takes it.
pub(crate) fn assignment(name: &str, value: &str) -> String {
    format!("{name}={}", for_a_shell(value))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_takes_them_as_they_were_meant() {
        let written = WrittenConfig {
            path: "/tmp/it's here/a b.toml".into(),
            environment: [("TOKEN_A".to_owned(), "a$b`c\"d\\".to_owned())].into(),
        };
        let lines = lines(&written, Path::new("/opt/bin dir")).unwrap();
        assert_eq!(lines.lines().count(), 2, "{lines}");
        let script =
            format!("{lines}\nprintf '%s|%s|%s' \"$AMFJ_SYNC_CONFIG\" \"$TOKEN_A\" \"${{PATH%%:*}}\"");
        let said = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said, "/tmp/it's here/a b.toml|a$b`c\"d\\|/opt/bin dir");
    }
}
