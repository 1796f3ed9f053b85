//! A Debian package: three members in an `ar` archive.

use super::{VERSION, pack::Pack, tree::write};
use crate::output;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// So that systemd reads the units anew.
const RELOAD: &str = "#!/bin/sh\nset -e\nif [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi\n";

/// Writes what the package says of itself, from what lies in `data`.
pub(crate) fn control(data: &Path, to: &Path) -> Result<()> {
    let size: u64 = output(Command::new("du").args(["--apparent-size", "--summarize", "--block-size=1K"]).arg(data))?
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .context("`du` printed no size")?;
    let text = format!(
        "\
Package: sharesock
Version: {VERSION}
Architecture: {}
Maintainer: the sharesock authors <sharesock@localhost>
Installed-Size: {size}
Section: net
Priority: optional
Homepage: {}
Description: restarts servers without dropping a connection
 `sharesock run` supervises any server: it keeps the listeners while the
 server's processes are replaced, so that nothing that arrives is refused.
 .
 The small tools pass live sockets between processes.
",
        architecture()?,
        env!("CARGO_PKG_HOMEPAGE"),
    );
    write(&to.join("control"), text)?;
    let files = output(Command::new("find").args(["usr", "-type", "f"]).current_dir(data))?;
    let mut files: Vec<&str> = files.lines().collect();
    files.sort_unstable();
    write(&to.join("md5sums"), output(Command::new("md5sum").args(files).current_dir(data))?)?;
    for script in ["postinst", "postrm"] {
        write(&to.join(script), RELOAD)?;
        fs::set_permissions(to.join(script), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Packs both; the name of the package.
pub(crate) fn pack(pack: &Pack, data: &Path, control: &Path) -> Result<String> {
    let folder = data.with_file_name("members");
    fs::create_dir_all(&folder)?;
    pack.tar(control, ".", &folder.join("control.tar.gz"))?;
    pack.tar(data, ".", &folder.join("data.tar.gz"))?;
    let mut archive = b"!<arch>\n".to_vec();
    let mut member = |name: &str, contents: &[u8]| {
        archive.extend_from_slice(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", pack.time, 0, 0, "100644", contents.len()).as_bytes(),
        );
        archive.extend_from_slice(contents);
        if contents.len() % 2 == 1 {
            archive.push(b'\n');
        }
    };
    member("debian-binary", b"2.0\n");
    for name in ["control.tar.gz", "data.tar.gz"] {
        member(name, &fs::read(folder.join(name))?);
    }
    let name = format!("sharesock_{VERSION}_{}.deb", architecture()?);
    write(&pack.out().join(&name), archive)?;
    Ok(name)
}

fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("Debian's name of the architecture {other} is not known here: add it to xtask/src/dist/deb.rs"),
    }
}
