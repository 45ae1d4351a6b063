use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// A folder as it is made by hand, whatever the umask of this process.
fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

#[test]
fn what_is_made_is_its_owners_alone() {
    let scratch = scratch();
    let folder = scratch.path().join("var/deep/writer");
    make_folder(&folder).unwrap();
    for made in ["var", "var/deep", "var/deep/writer"] {
        assert_eq!(mode(&scratch.path().join(made)), 0o700, "{made}");
    }
    let file = folder.join("a");
    write_file(&file, "first, and longer").unwrap();
    write_file(&file, "second").unwrap();
    append_to_file(&file).unwrap().write_all(b", third").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "second, third");
    assert_eq!(mode(&file), 0o600);
    append_to_file(&folder.join("log")).unwrap();
    write_where_told(&folder.join("plan.csv"), "a,b").unwrap();
    assert_eq!((mode(&folder.join("log")), mode(&folder.join("plan.csv"))), (0o600, 0o600));
}

#[test]
fn a_file_that_others_could_read_is_closed_to_them_before_it_is_written() {
    let scratch = scratch();
    let file = scratch.path().join("writer.log");
    fs::write(&file, "of yesterday\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    append_to_file(&file).unwrap();
    assert_eq!(mode(&file), 0o600);
    assert_eq!(fs::read_to_string(&file).unwrap(), "of yesterday\n");
    // A person decides about a file of theirs.
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    write_where_told(&file, "told").unwrap();
    assert_eq!(mode(&file), 0o640);
}

#[test]
fn a_folder_that_is_there_is_taken_and_a_wide_one_is_told_of_once() {
    let scratch = scratch();
    let folder = scratch.path().join("data");
    make_folder(&folder).unwrap();
    make_folder(&folder).unwrap();
    assert!(!TOLD.lock().contains(&folder));
    for wide in [0o750, 0o701, 0o755] {
        TOLD.lock().remove(&folder);
        fs::set_permissions(&folder, Permissions::from_mode(wide)).unwrap();
        make_folder(&folder).unwrap();
        assert!(TOLD.lock().contains(&folder), "{wide:o}");
        assert_eq!(mode(&folder), wide, "it is a person who mends it");
    }
}

#[test]
fn a_link_in_place_of_a_folder_or_file_is_refused_and_what_it_leads_to_stays() {
    let scratch = scratch();
    let (victim, link) = (scratch.path().join("victim"), scratch.path().join("link"));
    fs::create_dir(&victim).unwrap();
    symlink(&victim, &link).unwrap();
    let error = make_folder(&link).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("symbolic link"), "{error}");
    for hidden in ["link/", "link/.", "./link//"] {
        let error = make_folder(&scratch.path().join(hidden)).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{hidden}: {error}");
    }
    // One that leads nowhere would be followed once somebody makes what it leads to.
    let nowhere = scratch.path().join("nowhere");
    symlink(scratch.path().join("later"), &nowhere).unwrap();
    assert!(make_folder(&nowhere).unwrap_err().to_string().contains("symbolic link"));

    let (kept, link) = (victim.join("kept"), scratch.path().join("log"));
    fs::write(&kept, "as it was").unwrap();
    symlink(&kept, &link).unwrap();
    assert!(append_to_file(&link).unwrap_err().to_string().contains("symbolic link"));
    assert!(write_file(&link, "no").unwrap_err().to_string().contains("symbolic link"));
    assert_eq!(fs::read_to_string(&kept).unwrap(), "as it was");
}

#[test]
fn a_file_in_place_of_a_folder_is_named() {
    let scratch = scratch();
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    let error = make_folder(&file).unwrap_err();
    assert!(error.to_string().contains("is not a folder"), "{error}");
}

/// Only root can give a folder away.
#[test]
fn what_belongs_to_another_user_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let scratch = scratch();
    let folder = scratch.path().join("theirs");
    fs::create_dir(&folder).unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "theirs").unwrap();
    for path in [&folder, &file] {
        std::os::unix::fs::chown(path, Some(12_345), None).unwrap();
    }
    for error in [make_folder(&folder).unwrap_err(), write_file(&file, "ours").unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("belongs to another user (user id 12345"), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
}

#[test]
fn a_file_is_replaced_as_a_whole_and_keeps_its_rights_and_its_links() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    replace_file(&at("token"), "first", Readers::Owner).unwrap();
    replace_file(&at("config"), "first", Readers::OfTheFolder).unwrap();
    assert_eq!((mode(&at("token")), mode(&at("config"))), (0o600, 0o600));
    fs::set_permissions(at("config"), Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(at("token"), Permissions::from_mode(0o644)).unwrap();
    symlink(at("config"), at("link")).unwrap();
    let mut before = fs::File::open(at("config")).unwrap();
    replace_file(&at("link"), "second", Readers::OfTheFolder).unwrap();
    replace_file(&at("token"), "second", Readers::Owner).unwrap();
    assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(at("config")).unwrap(), "second");
    assert_eq!((mode(&at("token")), mode(&at("config"))), (0o600, 0o640), "a secret is its owner's alone");
    // Whoever reads while it is replaced reads one of them.
    let mut read = String::new();
    std::io::Read::read_to_string(&mut before, &mut read).unwrap();
    assert_eq!(read, "first");
    replace_file(Path::new("/proc/no-such-file"), "x", Readers::Owner).unwrap_err();
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 3, "nothing is left beside them");
}

/// What root makes for a service, the service can read.
#[test]
fn what_root_makes_belongs_to_whom_its_folder_belongs() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let scratch = scratch();
    let folder = scratch.path().join("etc");
    make_folder(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(0), Some(65534)).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o750)).unwrap();
    replace_file(&folder.join("config"), "x", Readers::OfTheFolder).unwrap();
    replace_file(&folder.join("token"), "x", Readers::Owner).unwrap();
    for (name, right) in [("config", 0o640), ("token", 0o600)] {
        let about = fs::metadata(folder.join(name)).unwrap();
        assert_eq!((about.uid(), about.gid(), about.mode() & 0o777), (0, 65534, right), "{name}");
    }
}
