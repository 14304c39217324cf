//! ctdbd that is stopped, as a machine that hangs: a follower's, and the leader's.

use anyhow::{Result, ensure};

use super::scene::{Scene, ctdbd, signal};
use crate::report::{Report, within};

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    for (who, pnn) in [
        ("a follower", scene.follower()?),
        ("the leader", scene.leader()?),
    ] {
        let node = scene.node(pnn);
        let daemon = ctdbd(node)?;
        signal(node, daemon, "STOP")?;
        report.check(
            &format!("{who}'s ctdbd is stopped: the others go on without it"),
            || {
                within(25, || scene.check_rest_ok(pnn))?;
                scene.check_rest_works(pnn, "without-one")
            },
        );
        report.check("one of the others leads", || {
            let other = scene.node((pnn + 1) % 3);
            let leader = scene.leader_of(other)?;
            ensure!(leader != pnn, "node {pnn} leads, and hangs");
            Ok(())
        });
        signal(node, daemon, "CONT")?;
        report.check("continued, it comes back by itself", || {
            within(30, || scene.cluster.check_all_ok())?;
            scene.check_works("with-all")
        });
    }
    Ok(())
}
