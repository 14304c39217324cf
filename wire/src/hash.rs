//! The hash behind database ids and record placement.
//!
//! It is Bob Jenkins' public-domain lookup3 (`hashlittle`, seed 0), bytes taken as little-endian
//! words; libtdb uses the same for its chains (hash.c, libtdb 1.4.8).

use crate::DbId;

/// The number of the database with this name: the hash of the name with its NUL.
pub fn db_id(name: &str) -> DbId {
    let mut key = name.as_bytes().to_vec();
    key.push(0);
    DbId(key_hash(&key))
}

/// The hash of a record's key. Its lmaster is the VNN map's entry at the hash modulo the map's size.
pub fn key_hash(key: &[u8]) -> u32 {
    let start = 0xDEAD_BEEF_u32.wrapping_add(key.len() as u32);
    let mut state = [start; 3];
    let Some(whole) = key.len().checked_sub(1).map(|last| last / 12 * 12) else {
        return start;
    };
    let (blocks, tail) = key.split_at(whole);
    for block in blocks.chunks_exact(12) {
        add(&mut state, block);
        mix(&mut state);
    }
    add(&mut state, tail);
    finish(&mut state);
    state[2]
}

/// Adds up to 12 bytes to the three words; missing ones count as zero.
fn add(state: &mut [u32; 3], bytes: &[u8]) {
    for (word, chunk) in state.iter_mut().zip(bytes.chunks(4)) {
        let mut le = [0; 4];
        le[..chunk.len()].copy_from_slice(chunk);
        *word = word.wrapping_add(u32::from_le_bytes(le));
    }
}

/// Six reversible steps, each turning one word by its own number of bits.
fn mix(state: &mut [u32; 3]) {
    for (i, turn) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
        let (x, y, z) = (i % 3, (i + 1) % 3, (i + 2) % 3);
        state[x] = state[x].wrapping_sub(state[z]) ^ state[z].rotate_left(turn);
        state[z] = state[z].wrapping_add(state[y]);
    }
}

/// Seven steps that let every bit reach the last word.
fn finish(state: &mut [u32; 3]) {
    for (i, turn) in [14, 11, 25, 16, 4, 14, 24].into_iter().enumerate() {
        let (x, y) = ((i + 2) % 3, (i + 1) % 3);
        state[x] = (state[x] ^ state[y]).wrapping_sub(state[y].rotate_left(turn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, hash without and with the NUL, as libtdb 1.4.8's `tdb_jenkins_hash` gives them.
    const KNOWN: &[(&str, u32, u32)] = &[
        ("", 0xdead_beef, 0x8ba9_414b),
        ("a", 0x58d6_8708, 0x42b1_7671),
        ("test", 0xbe0c_1952, 0x082e_2f70),
        ("locking.tdb", 0x72c9_1e9e, 0x7a19_d84d),
        ("g_lock.tdb", 0x48f4_0ecb, 0x4d2a_432b),
        ("smbXsrv_session_global.tdb", 0xc427_f39f, 0x6b06_a26d),
        ("registry.tdb", 0xf9e3_22cb, 0x6cf2_837d),
        ("brlock.tdb", 0x1fd8_0219, 0x4e66_c2b2),
        ("secrets.tdb", 0x8fb1_4e44, 0x7132_c184),
        ("ctdb.tdb", 0x1f34_ffc2, 0x6645_c6c4),
        ("abcdefghijklmnopqrstuvwxyz", 0x7538_b5bd, 0x7c5a_ef6d),
    ];

    #[test]
    fn the_hash_is_libtdbs() {
        for &(name, bare, with_nul) in KNOWN {
            assert_eq!(key_hash(name.as_bytes()), bare, "{name:?}");
            assert_eq!(db_id(name), DbId(with_nul), "{name:?} with its NUL");
        }
    }
}
