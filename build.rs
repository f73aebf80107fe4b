//! How the release binary is linked: what makes it smaller on disk and in memory, wherever the linker at hand knows how.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Addresses to fill in at every start, which stay in memory from then on: a tenth of the room. An older C library can't start what this packs.
const PACKED: &str = "-Wl,-z,pack-relative-relocs";

/// Each is left out where it does not work: other linkers know only some of them.
const SMALLER: [&str; 6] = [
    // No names of functions. Cargo forgets `strip` for a package that the profile says something else of.
    "-Wl,--strip-all",
    PACKED,
    // One copy of functions that came out the same; generic code has many.
    "-Wl,--icf=all",
    // One copy of strings that another one ends with.
    "-Wl,-O2",
    // What only runs when something went wrong stands by itself and is not loaded along with its neighbours.
    "-Wl,-z,keep-text-section-prefix",
    // Data that looks alike stands together, for the compressed image.
    "-Wl,--bp-compression-sort=data",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Debug builds are linked all the time, and quickly.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        for flag in SMALLER.into_iter().filter(|flag| works(flag).is_some()) {
            println!("cargo::rustc-link-arg-bins={flag}");
        }
    }
}

/// Some when a program that is linked with the flag, as ours will be, also runs. What is linked for another machine cannot be tried here, so it
/// does without the flag that asks something of the C library there.
fn works(flag: &str) -> Option<()> {
    let for_another_machine = env::var_os("HOST")? != env::var_os("TARGET")?;
    if for_another_machine && flag == PACKED {
        return None;
    }
    let directory = PathBuf::from(env::var_os("OUT_DIR")?);
    let (source, program) = (directory.join("linked.rs"), directory.join("linked"));
    fs::write(&source, "fn main() {}\n").ok()?;
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc
        .args(["--target", &env::var("TARGET").ok()?, "-C", &format!("link-arg={flag}"), "-o"])
        .arg(&program)
        .arg(&source);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    succeeds(&mut rustc)?;
    if for_another_machine { Some(()) } else { succeeds(&mut Command::new(program)) }
}

fn succeeds(command: &mut Command) -> Option<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    status.success().then_some(())
}
