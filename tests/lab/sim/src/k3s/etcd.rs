//! Embedded etcd as several servers share it: its members, their leader, their majority.

pub mod peer;

use super::pki::{self, Pair};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a leader is one without word from its followers, and the other way round.
const LEASE: Duration = Duration::from_secs(3);

/// A server that has a copy of all objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its node.
    pub node: String,
    /// Its name in etcd: the node's, and something that no other member has.
    pub name: String,
    /// Where the other members reach it.
    pub address: String,
    /// Where everybody reaches its API.
    pub advertise: String,
    /// It does not count yet.
    pub learner: bool,
}

/// What a member keeps over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    term: u64,
    voted: u64,
    applied: u64,
    members: Vec<Member>,
}

/// What one member knows of all.
pub struct Etcd {
    node: String,
    file: PathBuf,
    /// The certificate by which members know each other.
    pub pair: Pair,
    /// Who signed the others' certificates.
    pub ca: String,
    state: Mutex<State>,
}

struct State {
    kept: Kept,
    leader: Option<String>,
    heard: Instant,
    acknowledged: BTreeMap<String, (Version, Instant)>,
}

/// How far a copy of the objects is: the term of its last write, and its revision.
pub type Version = (u64, u64);

/// Who decides, as this member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// This member.
    Leader,
    /// Another.
    Follower(Member),
    /// Nobody: no majority is in reach.
    Lost,
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Etcd").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Etcd {
    /// Reads what `folder` keeps; a member without any is `own`, alone.
    pub fn open(folder: &Path, own: Member, pair: Pair, ca: String) -> Self {
        let file = folder.join("member.json");
        let kept = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let node = own.node.clone();
        let alone = Kept { term: 1, voted: 1, applied: 1, members: vec![own] };
        let kept: Kept = kept.unwrap_or(alone);
        let leader = (kept.members.len() == 1).then(|| node.clone());
        let state = State { kept, leader, heard: Instant::now(), acknowledged: BTreeMap::new() };
        let etcd = Self { node, file, pair, ca, state: Mutex::new(state) };
        etcd.save(&etcd.lock());
        etcd
    }

    /// Says whether `folder` has been that of a member.
    pub fn is_member(folder: &Path) -> bool {
        folder.join("member.json").exists() || folder.join("state.db").exists()
    }

    /// Writes what a server that joins begins with.
    pub fn begin(folder: &Path, members: &Value, term: u64) -> anyhow::Result<()> {
        let kept = json!({ "term": term, "voted": term, "applied": 0, "members": members });
        pki::folder(folder, 0o700)?;
        pki::write(&folder.join("member.json"), &kept.to_string(), 0o600)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, state: &State) {
        let text = serde_json::to_string(&state.kept).unwrap_or_default();
        if let Err(error) = pki::write(&self.file, &text, 0o600) {
            crate::log::error(format!("etcd: cannot write: {error:#}"));
        }
    }

    /// Returns every member.
    pub fn members(&self) -> Vec<Member> {
        self.lock().kept.members.clone()
    }

    /// Returns the other members.
    pub fn peers(&self) -> Vec<Member> {
        let mut all = self.members();
        all.retain(|member| member.node != self.node);
        all
    }

    /// Returns the term, and that of the last write here.
    pub fn terms(&self) -> (u64, u64) {
        let state = self.lock();
        (state.kept.term, state.kept.applied)
    }

    /// Says who decides now.
    pub fn standing(&self) -> Standing {
        let state = self.lock();
        let Some(leader) = &state.leader else { return Standing::Lost };
        if *leader == self.node {
            let fresh = |node: &str| {
                node == self.node
                    || state.acknowledged.get(node).is_some_and(|(_, at)| at.elapsed() < LEASE)
            };
            // Whoever has just been chosen was heard by a majority a moment ago.
            let new = state.heard.elapsed() < LEASE;
            return if new || state.has_majority(fresh) {
                Standing::Leader
            } else {
                Standing::Lost
            };
        }
        let found = state.kept.members.iter().find(|member| member.node == *leader);
        match found {
            Some(member) if state.heard.elapsed() < LEASE => Standing::Follower(member.clone()),
            _ => Standing::Lost,
        }
    }

    /// Says whether this member was the last to be chosen, with or without a majority now.
    pub fn is_leader(&self) -> bool {
        self.lock().leader.as_deref() == Some(self.node.as_str())
    }

    /// Returns the members whose word is fresh: those that serve the API.
    pub fn alive(&self) -> Vec<Member> {
        let state = self.lock();
        let fresh = |member: &&Member| {
            member.node == self.node
                || state.acknowledged.get(&member.node).is_some_and(|(_, at)| at.elapsed() < LEASE)
        };
        state.kept.members.iter().filter(fresh).cloned().collect()
    }

    /// Adds a member that does not count yet.
    ///
    /// # Errors
    /// What etcd says.
    pub fn add(&self, member: Member) -> Result<(), &'static str> {
        if self.standing() != Standing::Leader {
            return Err("etcdserver: unhealthy cluster");
        }
        let mut state = self.lock();
        state.kept.members.retain(|known| known.node != member.node);
        if state.kept.members.iter().any(|known| known.learner) {
            return Err("etcdserver: too many learner members in cluster");
        }
        state.kept.members.push(Member { learner: true, ..member });
        self.save(&state);
        Ok(())
    }

    /// Removes the member on `node`.
    pub fn remove(&self, node: &str) {
        let mut state = self.lock();
        state.kept.members.retain(|member| member.node != node);
        self.save(&state);
    }

    /// Notes what a follower has; a learner that has all becomes a voter.
    pub fn acknowledge(&self, node: &str, version: Version, own: Version) {
        let mut state = self.lock();
        state.acknowledged.insert(node.to_owned(), (version, Instant::now()));
        let learner = |member: &&mut Member| member.node == node && member.learner;
        if let (true, Some(member)) = (version == own, state.kept.members.iter_mut().find(learner))
        {
            member.learner = false;
            crate::log::info(format!("etcd: promoted learner member {}", member.name));
            self.save(&state);
        }
    }

    /// Says whether the follower on `node` has `version`.
    pub fn has(&self, node: &str, version: Version) -> bool {
        self.lock().acknowledged.get(node).is_some_and(|(seen, _)| *seen == version)
    }

    /// Says whether a majority has `version`.
    pub fn is_kept(&self, version: Version) -> bool {
        let state = self.lock();
        let has = |node: &str| {
            let seen = state.acknowledged.get(node);
            node == self.node || seen.is_some_and(|(seen, _)| *seen >= version)
        };
        state.has_majority(has)
    }

    /// Follows `leader`; refuses one that a newer term has replaced.
    pub fn follow(&self, leader: &str, term: u64, members: Vec<Member>) -> bool {
        let mut state = self.lock();
        if term < state.kept.term {
            return false;
        }
        let before = state.kept.clone();
        state.kept.term = term;
        state.kept.voted = state.kept.voted.max(term);
        state.kept.members = members;
        state.leader = Some(leader.to_owned());
        state.heard = Instant::now();
        if state.kept != before {
            self.save(&state);
        }
        true
    }

    /// Notes that the objects here are those of `term`.
    pub fn applied(&self, term: u64) {
        let mut state = self.lock();
        if state.kept.applied != term {
            state.kept.applied = term;
            self.save(&state);
        }
    }

    /// Returns the term to ask the others for, where there has long been no leader.
    pub fn candidacy(&self) -> Option<u64> {
        let mut state = self.lock();
        let place = state.kept.members.iter().position(|member| member.node == self.node)?;
        let learner = state.kept.members.iter().any(|own| own.node == self.node && own.learner);
        // They do not all ask at once.
        let turn = Duration::from_millis(700) * u32::try_from(place).unwrap_or_default();
        let led = state.leader.as_deref() == Some(self.node.as_str());
        if learner || led || state.heard.elapsed() < LEASE + turn {
            return None;
        }
        state.kept.voted = state.kept.voted.max(state.kept.term) + 1;
        state.heard = Instant::now().checked_sub(LEASE)?;
        self.save(&state);
        Some(state.kept.voted)
    }

    /// Votes for a candidate with the objects of `theirs`, where `own` are not newer.
    pub fn vote(&self, term: u64, theirs: Version, own: Version) -> bool {
        let mut state = self.lock();
        let led = state.leader.is_some() && state.heard.elapsed() < LEASE;
        if led || term <= state.kept.voted || term <= state.kept.term || theirs < own {
            return false;
        }
        state.kept.voted = term;
        self.save(&state);
        true
    }

    /// Says whether `votes` and the own one are a majority.
    pub fn wins(&self, votes: &[String]) -> bool {
        self.lock().has_majority(|node| node == self.node || votes.iter().any(|one| one == node))
    }

    /// Leads from now on.
    pub fn lead(&self, term: u64) {
        let mut state = self.lock();
        crate::log::info(format!("etcd: elected leader {} at term {term}", self.node));
        state.kept.term = term;
        state.kept.applied = term;
        state.leader = Some(self.node.clone());
        state.heard = Instant::now();
        state.acknowledged.clear();
        self.save(&state);
    }

    /// Leads no more: another does, in a newer term.
    pub fn yield_to(&self, term: u64) {
        let mut state = self.lock();
        if term > state.kept.term {
            state.kept.term = term;
            state.leader = None;
            self.save(&state);
        }
    }
}

impl State {
    fn has_majority(&self, counts: impl Fn(&str) -> bool) -> bool {
        let voters = self.kept.members.iter().filter(|member| !member.learner);
        let (all, agreed) = voters.fold((0, 0), |(all, agreed), member| {
            (all + 1, agreed + usize::from(counts(&member.node)))
        });
        agreed * 2 > all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node: &str) -> Member {
        let text = |prefix: &str| format!("{prefix}{node}");
        let (name, address, advertise) = (text(""), text("p"), text("a"));
        Member { node: node.to_owned(), name, address, advertise, learner: false }
    }

    fn etcd(folder: &Path, nodes: &[&str]) -> Etcd {
        let members: Vec<Member> = nodes.iter().map(|node| member(node)).collect();
        if nodes.len() > 1 {
            Etcd::begin(folder, &json!(members), 1).expect("written");
        }
        let pair = Pair { certificate: String::new(), key: String::new() };
        Etcd::open(folder, member(nodes[0]), pair, String::new())
    }

    #[test]
    fn one_member_leads_itself_and_two_need_each_other() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(etcd(folder.path(), &["a"]).standing(), Standing::Leader);
        let folder = tempfile::tempdir().expect("a folder");
        let two = etcd(folder.path(), &["a", "b"]);
        assert_eq!(two.standing(), Standing::Lost);
        assert!(!two.wins(&[]) && two.wins(&["b".to_owned()]));
    }

    #[test]
    fn a_vote_is_given_once_a_term_and_never_to_older_objects() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = etcd(folder.path(), &["a", "b", "c"]);
        assert!(!one.vote(2, (1, 4), (1, 5)), "older objects");
        assert!(one.vote(2, (1, 5), (1, 5)));
        assert!(!one.vote(2, (1, 9), (1, 5)), "it has voted");
        assert!(one.follow("b", 2, one.members()));
        assert!(!one.vote(3, (2, 9), (1, 5)), "it has a leader");
        assert!(!one.follow("c", 1, one.members()), "an older term");
    }

    #[test]
    fn a_learner_counts_only_when_it_has_everything() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = etcd(folder.path(), &["a"]);
        one.add(member("b")).expect("added");
        assert_eq!(one.add(member("c")), Err("etcdserver: too many learner members in cluster"));
        assert!(one.is_kept((1, 7)), "a learner does not count");
        one.acknowledge("b", (1, 6), (1, 7));
        assert!(one.members()[1].learner);
        one.acknowledge("b", (1, 7), (1, 7));
        assert!(!one.members()[1].learner);
        assert!(!one.is_kept((1, 8)));
    }
}
