//! The folder that upstream's scripts take for their own source tree.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::{Plan, glob};
use crate::step::output;

/// What the scripts find beside their programs.
const FOLDERS: [&str; 3] = ["tests", "config", "tools"];
/// Where a machine has ctdb's programs; a later one counts more.
const INSTALLED: [&str; 4] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/libexec/ctdb",
    "/usr/libexec/ctdb/tests",
];
/// Ours, below the root of a package. The scripts' daemon looks for all beside itself.
const OURS: [&str; 2] = ["usr/sbin", "usr/libexec/ctdb"];

/// Whose programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Whose {
    Ours,
    Theirs,
}

/// Which node runs which ctdbd.
#[derive(Debug, Default)]
pub(super) struct Mix<'a> {
    /// The nodes that run upstream's.
    theirs: &'a [u32],
    /// The only kind that may lead.
    leader: Option<Whose>,
}

impl<'a> From<&'a Plan> for Mix<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self {
            theirs: &plan.theirs,
            leader: plan.leader,
        }
    }
}

/// The scripts of these suites that a pattern fits, as suite and name.
pub(super) fn scripts(
    upstream: &Path,
    suites: &[String],
    only: &str,
) -> Result<Vec<(String, String)>> {
    let mut scripts = Vec::new();
    for suite in suites {
        let dir = upstream.join("tests").join(suite);
        let mut names = names(&dir)?;
        names.retain(|name| {
            name.strip_suffix(".sh")
                .is_some_and(|stem| glob::fits(only, stem) || glob::fits(only, name))
        });
        scripts.extend(names.into_iter().map(|name| (suite.clone(), name)));
    }
    Ok(scripts)
}

/// The names in a folder, in order.
fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// A tree that is made.
#[derive(Debug)]
pub(super) struct Tree {
    path: PathBuf,
}

impl Tree {
    /// Makes it anew: links to what is upstream's, and ours on top.
    pub(super) fn make(path: &Path, upstream: &Path, ours: &Path, mix: &Mix<'_>) -> Result<Self> {
        let _ = fs::remove_dir_all(path);
        let bin = path.join("bin");
        fs::create_dir_all(&bin).with_context(|| bin.display().to_string())?;
        for folder in FOLDERS {
            let from = upstream.join(folder);
            ensure!(from.is_dir(), "{} is no folder", from.display());
            symlink(from, path.join(folder))?;
        }
        for dir in INSTALLED {
            link_programs(Path::new(dir), &bin, |name| name.starts_with("ctdb"))?;
        }
        // scripts such as onnode, which later versions look for beside the programs
        for dir in ["tools", "bin"] {
            link_programs(&upstream.join(dir), &bin, |_| true)?;
        }
        let theirs = bin.join("ctdbd").read_link().ok();
        for dir in OURS {
            link_programs(&ours.join(dir), &bin, |_| true)?;
        }
        if !mix.theirs.is_empty() {
            let theirs = theirs.context("there is no ctdbd of upstream's")?;
            mix.replace(&bin.join("ctdbd"), &theirs)?;
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Puts links to our client in the place of the programs that it can be.
    pub(super) fn add_clients(&self, client: &Path, instead: bool) -> Result<()> {
        let names = output(&mut Command::new(client))?;
        for name in names.lines() {
            let to = self.path.join("bin").join(name);
            if instead || !is_program(&to) {
                let _ = fs::remove_file(&to);
                symlink(client, &to).with_context(|| to.display().to_string())?;
            }
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Links to the programs of a folder, if it is there, in the place of those that have the same name.
fn link_programs(dir: &Path, bin: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for name in names(dir)?.iter().filter(|name| wanted(name)) {
        let from = dir.join(name);
        if is_program(&from) {
            let to = bin.join(name);
            let _ = fs::remove_file(&to);
            symlink(from, &to).with_context(|| to.display().to_string())?;
        }
    }
    Ok(())
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

impl Mix<'_> {
    /// Puts a script in the place of our ctdbd, which starts the one that the node is to run.
    fn replace(&self, ctdbd: &Path, theirs: &Path) -> Result<()> {
        let ours = ctdbd.read_link()?;
        fs::remove_file(ctdbd)?;
        fs::write(ctdbd, self.script(&ours, theirs))?;
        fs::set_permissions(ctdbd, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// The node is known by its folder. C's daemon gets C's helpers, too.
    fn script(&self, ours: &Path, theirs: &Path) -> String {
        let helpers = theirs.parent().unwrap_or(theirs).display();
        let mut nodes = String::new();
        for pnn in self.theirs {
            let or = if nodes.is_empty() { "" } else { "|" };
            write!(nodes, "{or}node.{pnn}").expect("a String takes any text");
        }
        format!(
            "#!/bin/sh\n\
             may_not_lead() {{\n\
             \tgrep -q 'leader capability' \"$CTDB_BASE/ctdb.conf\" ||\n\
             \t\tsed -i 's/^\\[cluster\\]$/&\\n\\tleader capability = false/' \"$CTDB_BASE/ctdb.conf\"\n\
             }}\n\
             case \"${{CTDB_BASE##*/}}\" in\n\
             {nodes})\n\
             \texport CTDB_CLUSTER_MUTEX_HELPER=\"{helpers}/ctdb_mutex_fcntl_helper\"\n\
             \texport CTDB_TEST_HELPER_BINDIR=\"{helpers}\"\n\
             {}\texec \"{}\" \"$@\" ;;\n\
             *)\n\
             {}\texec \"{}\" \"$@\" ;;\n\
             esac\n",
            self.leading(Whose::Theirs),
            theirs.display(),
            self.leading(Whose::Ours),
            ours.display(),
        )
    }

    fn leading(&self, daemon: Whose) -> &'static str {
        if self.leader.is_none_or(|leader| leader == daemon) {
            ""
        } else {
            "\tmay_not_lead\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own, with these programs.
    fn folder(name: &str, programs: &[&str]) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("ctdb-tree.{}/{name}", std::process::id()));
        for program in programs {
            let path = dir.join(program);
            fs::create_dir_all(path.parent().expect("below dir")).expect("folders");
            fs::write(&path, name).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        dir
    }

    #[test]
    fn ours_lie_over_upstreams_and_no_other_daemon_is_touched() {
        let parts = [
            "tests/INTEGRATION/a/x.1.sh",
            "config/c",
            "tools/t",
            "bin/ctdbd",
            "bin/ring",
        ];
        let (upstream, ours) = (folder("up", &parts), folder("ours", &["usr/sbin/ctdbd"]));
        let suites = ["INTEGRATION/a".to_owned()];
        let found = |only| scripts(&upstream, &suites, only).expect("scripts").len();
        assert_eq!((found("x*"), found("x.1"), found("y*")), (1, 1, 0));

        let path = upstream.with_file_name("tree");
        let read = |name: &str| fs::read_to_string(path.join("bin").join(name)).expect(name);
        for _ in 0..2 {
            Tree::make(&path, &upstream, &ours, &Mix::default()).expect("a tree");
            assert_eq!((read("ctdbd"), read("ring")), ("ours".into(), "up".into()));
        }
        let mix = Mix {
            theirs: &[1],
            leader: None,
        };
        Tree::make(&path, &upstream, &ours, &mix).expect("a mixed tree");
        assert!(read("ctdbd").starts_with("#!"));
        let kept = fs::read_to_string(upstream.join("bin/ctdbd")).expect("upstream's own");
        assert_eq!(kept, "up");
        fs::remove_dir_all(path.parent().expect("the test's folder")).expect("removed");
    }

    #[test]
    fn a_mixed_cluster_has_a_script_that_knows_the_nodes() {
        let mix = Mix {
            theirs: &[0, 2],
            leader: Some(Whose::Theirs),
        };
        let script = mix.script(Path::new("/o/ctdbd"), Path::new("/t/ctdbd"));
        let (theirs, ours) = script.split_once("\n*)\n").expect("two cases");
        assert!(theirs.contains("\nnode.0|node.2)\n"), "{script}");
        assert!(
            theirs.contains("\n\texec \"/t/ctdbd\" \"$@\" ;;"),
            "{script}"
        );
        assert_eq!(ours.lines().next(), Some("\tmay_not_lead"));
        assert!(ours.contains("exec \"/o/ctdbd\""), "{script}");
    }
}
