//! The demonstration: a cluster at work, in a minute.

use std::io::Read;

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, SHARE};
use crate::host::address;
use crate::report::within;
use crate::smb2::{Open, Status};

/// Brings a cluster up, shows what makes it one, and keeps it unless `once`.
///
/// # Errors
/// Something that the demonstration shows is not so.
pub fn run(cluster: &Cluster, once: bool) -> Result<()> {
    println!(
        "\n== {} nodes, each with its own network, ctdbd and smbd",
        cluster.nodes.len()
    );
    cluster.start_ctdbd()?;
    cluster.start_smbd()?;
    cluster.add_user()?;
    show_file(cluster)?;
    show_lock(cluster)?;
    show_status(cluster)?;
    if once {
        println!("\n== done, taking it down");
        return Ok(());
    }
    show_ways_in(cluster)?;
    wait_for_the_end()
}

fn show_file(cluster: &Cluster) -> Result<()> {
    println!(
        "\n== a file made by way of node 0 is read by way of node {}",
        cluster.last()
    );
    let text = b"Hello from node 0";
    let mut here = cluster.session(0)?;
    let file = here.must_open(&Open::creating("hello.txt"))?.file;
    here.write(file, text)?.expect(Status::OK)?;
    here.close(file)?;
    let mut there = cluster.session(cluster.last())?;
    let file = there.must_open(&Open::reading("hello.txt"))?.file;
    let read = there
        .read(file, 64)?
        .map_err(|status| anyhow::anyhow!("read: {status:?}"))?;
    ensure!(read == text, "read {read:?}");
    println!(
        "   node {}: {:?}",
        cluster.last(),
        String::from_utf8_lossy(&read)
    );
    Ok(())
}

fn show_lock(cluster: &Cluster) -> Result<()> {
    let last = cluster.last();
    println!("\n== a byte range locked on node 0 is refused on node {last}");
    let (mut here, mut there) = (cluster.session(0)?, cluster.session(last)?);
    let mine = here.must_open(&Open::writing("hello.txt"))?.file;
    let theirs = there.must_open(&Open::writing("hello.txt"))?.file;
    here.lock(mine, 0, 5)?.expect(Status::OK)?;
    println!("   node 0: bytes 0 to 4 locked");
    there.lock(theirs, 0, 5)?.expect(Status::LOCK_NOT_GRANTED)?;
    println!("   node {last}: the same bytes: refused (STATUS_LOCK_NOT_GRANTED)");
    here.unlock(mine, 0, 5)?.expect(Status::OK)?;
    println!("   node 0: unlocked");
    there.lock(theirs, 0, 5)?.expect(Status::OK)?;
    println!("   node {last}: the same bytes: granted");
    Ok(())
}

fn show_status(cluster: &Cluster) -> Result<()> {
    within(20, || cluster.check_all_ok())?;
    for node in &cluster.nodes {
        println!("\n== node {}: ctdb status", node.pnn);
        print!("{}", node.ctdb(&["status"])?);
    }
    Ok(())
}

fn show_ways_in(cluster: &Cluster) -> Result<()> {
    println!("\n== the cluster stays until Ctrl-C. From another terminal, as root:");
    for node in &cluster.nodes {
        let process = cluster
            .host
            .outer_pid(node.init())
            .context("the node's process")?;
        println!(
            "   a shell on node {}:  nsenter -t {process} -m -n -i -p -u bash",
            node.pnn
        );
    }
    println!(
        "   in it:  ctdb status    smbstatus    smbclient //{}/{SHARE} -N -c ls",
        address(0)
    );
    Ok(())
}

/// Nothing is read from the terminal; the outer process is the one that Ctrl-C ends.
fn wait_for_the_end() -> Result<()> {
    let (_never, mut nothing) = std::os::unix::net::UnixStream::pair()?;
    nothing.read_exact(&mut [0]).context("waiting")
}
