use tar::Builder;

use super::*;

/// Returns an archive with one member of a kind, with a name that is written as it is.
fn archive(kind: EntryType, name: &[u8], target: Option<&str>, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o4644);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    if let Some(target) = target {
        header.set_link_name(target).unwrap();
    }
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, content).unwrap();
    builder.into_inner().unwrap()
}

fn all(archive: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, String> {
    let words = |error: MemberError| match error {
        MemberError::Io(error) => format!("io: {error}"),
        MemberError::Refused(what) => what,
    };
    let mut members = Members::new(archive);
    let mut found = Vec::new();
    while let Some(member) = members.next_member().map_err(words)? {
        let mut content = Vec::new();
        members.read_to_end(&mut content).map_err(|error| format!("io: {error}"))?;
        found.push((member, content));
    }
    members.expect_end().map_err(words)?;
    Ok(found)
}

#[test]
fn members_are_read_with_long_names_and_modes() {
    let long = format!("data/{}/{}", "d".repeat(120), "f".repeat(120));
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_mode(0o640);
    header.set_mtime(7);
    header.set_size(3);
    builder.append_data(&mut header, &long, &b"abc"[..]).unwrap();
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    builder.append_link(&mut header, "./data/link", "t".repeat(150)).unwrap();
    builder.append_pax_extensions([("mtime", b"1.5".as_slice()), ("path", b"data/\xc3\xb3")]).unwrap();
    let mut header = Header::new_ustar();
    header.set_mode(0o755);
    header.set_size(0);
    header.set_entry_type(EntryType::Directory);
    builder.append_data(&mut header, "short", &b""[..]).unwrap();
    let found = all(&builder.into_inner().unwrap()).unwrap();
    let file = MemberKind::File { size: 3, mode: 0o640, modified: 7 };
    assert_eq!(found[0], (Member { path: long.into(), kind: file }, b"abc".to_vec()));
    assert_eq!(found[1].0.kind, MemberKind::Link { target: "t".repeat(150).into() });
    assert_eq!(found[1].0.path, Path::new("data/link"));
    assert_eq!(
        (found[2].0.path.as_path(), &found[2].0.kind),
        (Path::new("data/ó"), &MemberKind::Directory { mode: 0o755 })
    );
}

#[test]
fn member_of_an_impossible_size_is_refused() {
    let mut builder = Builder::new(Vec::new());
    let size = (u64::MAX - 3).to_string();
    builder.append_pax_extensions([("size", size.as_bytes())]).unwrap();
    let mut header = Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(0);
    header.set_entry_type(EntryType::Regular);
    builder.append_data(&mut header, "data/large", &b""[..]).unwrap();
    let archive = builder.into_inner().unwrap();
    let mut members = Members::new(archive.as_slice());
    members.next_member().unwrap();
    let refused = members.next_member().unwrap_err();
    assert!(matches!(&refused, MemberError::Refused(what) if what.contains("size of a member")), "{refused:?}");
}

#[test]
fn hostile_members_are_refused_with_the_cause() {
    for (kind, name, target, expected) in [
        (EntryType::Regular, &b"/etc/passwd"[..], None, "\"/etc/passwd\" is an absolute path"),
        (EntryType::Regular, b"data/../../x", None, "leads out of the archive"),
        (EntryType::Regular, b"..", None, "leads out of the archive"),
        (EntryType::Link, b"data/a", Some("/etc/passwd"), "is a hard link"),
        (EntryType::Char, b"data/a", None, "is a device"),
        (EntryType::Block, b"data/a", None, "is a device"),
        (EntryType::Fifo, b"data/a", None, "is a named pipe"),
        (EntryType::Symlink, b"data/a", None, "has no proper target"),
        (EntryType::Symlink, b".", Some("/etc"), "a member has no name"),
        (EntryType::new(b'V'), b"data/a", None, "of a kind that is not known"),
        (EntryType::GNUSparse, b"data/a", None, "stored with holes"),
        (EntryType::XGlobalHeader, b"data/a", None, "of a kind that is not known"),
    ] {
        let error = all(&archive(kind, name, target, b"")).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let long = archive(EntryType::GNULongName, b"x", None, &vec![b'a'; 70_000]);
    assert!(all(&long).unwrap_err().contains("the name of a member has 70000 bytes"));
}

#[test]
fn cut_off_or_damaged_archive_is_told_from_its_end() {
    let whole = archive(EntryType::Regular, b"data/a", None, &[7; 2000]);
    assert!(all(&whole).is_ok());
    for length in [0, 100, 512, 1000, 2500, 512 + 2048] {
        assert!(all(&whole[..length]).unwrap_err().starts_with("io: "), "{length}");
    }
    let mut damaged = whole.clone();
    damaged[3] ^= 1;
    assert!(all(&damaged).unwrap_err().contains("checksum"));
    let longer = [&whole[..], b"more"].concat();
    assert!(all(&longer).unwrap_err().contains("goes on after its end"));
    let zeros = [&whole[..], &vec![0; 2 << 20]].concat();
    assert!(all(&zeros).unwrap_err().contains("goes on after its end"));
}

#[test]
fn anything_at_all_is_read_without_panic() {
    let whole = archive(EntryType::Regular, b"data/a", None, &[7; 600]);
    for position in 0..512 {
        for byte in [0, 1, b'7', b'8', 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[position] = byte;
            let sum: u32 = changed[..148].iter().chain(&changed[156..512]).map(|byte| u32::from(*byte)).sum();
            changed[148..156].copy_from_slice(format!("{:06o}\0 ", sum + 256).as_bytes());
            drop(all(&changed));
        }
    }
}
