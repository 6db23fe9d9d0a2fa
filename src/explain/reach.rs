//! Between this machine and a host: no connection, no trust, no login.

use super::Explanation;

pub(super) const ALL: &[Explanation] = &[
    Explanation {
        code: "unreachable",
        means: "No connection to the host came about within `ssh.connect-seconds`.",
        why: "The host is down or still starting, its address or port in cluster.toml is wrong, or a firewall \
              is between. A refused connection means that the address answers and nothing listens on the port.",
        then: "Compare `address`, `port` and `jump` of the node with what works for `ssh`. `nc -zv ADDRESS PORT` \
               tries the same as oceanid. At a provider, look at its firewall or security list as well.",
    },
    Explanation {
        code: "silent",
        means: "Something takes the connection and then says nothing.",
        why: "It is no sshd that listens there, or the host has no memory left to start one for the connection.",
        then: "`ssh-keyscan -p PORT ADDRESS` shows whether anything greets. If the host is short of memory, its \
               console still works.",
    },
    Explanation {
        code: "unusable",
        means: "What answers is no sshd that oceanid can speak with, or no login shell.",
        why: "The port belongs to another service, the sshd has no algorithm in common with oceanid, or the \
              user's shell ends at once.",
        then: "`ssh -p PORT USER@ADDRESS true` shows the same without oceanid. Check `port` and `user` of the node.",
    },
    Explanation {
        code: "authentication",
        means: "The host accepts none of the keys that were offered.",
        why: "The public key is not in the user's `authorized_keys`, the user is another one, or the private key \
              is encrypted and nobody was there to unlock it. The lines under `tried` say what happened to each.",
        then: "`ssh-copy-id USER@ADDRESS` brings a key there; `ssh-add` unlocks one; `user` and `keys` of the node \
               or of `[ssh]` name others. `oceanid docs ssh` says where keys are looked for.",
    },
    Explanation {
        code: "host-key-unknown",
        means: "Nobody has said yet which key is the host's, so nothing was sent to it.",
        why: "It is neither pinned with `host-key` in cluster.toml nor in `known_hosts`. oceanid never accepts a key \
              unseen: whoever is in between could show one, too.",
        then: "On the host's own console, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints the fingerprint. \
               If it is the one that was shown, `oceanid trust NODE` remembers it, or `host-key` pins it.",
    },
    Explanation {
        code: "host-key-changed",
        means: "The host shows another key than the known one, and nothing was sent to it.",
        why: "Either it was installed anew, or another machine answers at its address.",
        then: "Do not ask over SSH. On the host's own console, print the fingerprint. If it is the one that was shown, \
               remove the old key from where the error says it is, then `oceanid trust NODE`. If it is not, somebody \
               is listening: do not connect.",
    },
    Explanation {
        code: "host-key-revoked",
        means: "The host shows a key that is marked as `@revoked` in `known_hosts`.",
        why: "Somebody withdrew this key, for example because it was stolen. No flag gets past that.",
        then: "On the host's own console, `rm /etc/ssh/ssh_host_*` and `ssh-keygen -A` make new keys; restart sshd, \
               then `oceanid trust NODE`.",
    },
    Explanation {
        code: "privilege",
        means: "The login works, but the user cannot become root.",
        why: "sudo is missing, does not allow it, or wants a password that is wrong or that nobody gave.",
        then: "`sudo -l -U USER` on the host lists what the user may do. `sudo-password` of the node says where the \
               password is; without it oceanid asks at a terminal.",
    },
    Explanation {
        code: "deadline",
        means: "A script on the host still ran when its deadline came.",
        why: "The host is slow or hangs, or waits for something that does not come: another package manager, a disk.",
        then: "`oceanid facts NODE` shows whether it answers at all. The same command goes on from where it was.",
    },
    Explanation {
        code: "lost",
        means: "The connection broke while a script ran on the host.",
        why: "The network failed, the host went down, or sshd was restarted hard. A change that had begun runs to its \
              end on the host all the same.",
        then: "Run the same command again: it waits for that change, and goes on.",
    },
    Explanation {
        code: "local",
        means: "Something on this machine is in the way.",
        why: "A key, `known_hosts` or `~/.ssh/config` cannot be read, an agent does not answer, a secret cannot be had.",
        then: "The message names the file or the command. `oceanid docs ssh` says where keys and passwords are looked \
               for.",
    },
];
