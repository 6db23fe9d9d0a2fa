//! Why a public name does not lead to its service: the causes that `verify` knows of a tunnel's path.

use super::Explanation;

pub(super) const ALL: &[Explanation] = &[
    Explanation {
        code: "service-down",
        means: "Nobody listens where the tunnel ends.",
        why: "Triton, or your own service, does not run on that node.",
        then: "`oceanid bootstrap --only triton NODE` starts Triton and says what keeps it from starting.",
    },
    Explanation {
        code: "service-silent",
        means: "What listens where the tunnel ends does not answer in time.",
        why: "It hangs, is out of memory, or waits for its GPU.",
        then: "`journalctl -u tritonserver -n 50` and `nvidia-smi` on the node tell more.",
    },
    Explanation {
        code: "service-other",
        means: "Something else than Triton listens on its port.",
        why: "Another container or service took the port first.",
        then: "`ss -ltnp` on the node shows who has it.",
    },
    Explanation {
        code: "service-not-ready",
        means: "Triton runs and is not ready.",
        why: "A model still loads, or cannot be loaded: its files, its backend or the GPU's memory.",
        then: "`oceanid bootstrap --only triton NODE` waits for it and names the model that fails.",
    },
    Explanation {
        code: "service-broken",
        means: "What listens where the tunnel ends does not speak HTTP as a service does.",
        why: "`service` of the tunnel names the wrong port or scheme.",
        then: "Correct `service` of the `[[tunnel]]`; `curl -v URL` on the node shows what it says.",
    },
    Explanation {
        code: "cloudflared-down",
        means: "cloudflared does not run on the tunnel's node, or shows nothing of itself.",
        why: "It was stopped, or ends again at once.",
        then: "`oceanid bootstrap --only cloudflared NODE` starts it and says why it does not.",
    },
    Explanation {
        code: "no-rule",
        means: "cloudflared has no rule for the public name, and its last rule answers.",
        why: "The name is missing in its file, or among the tunnel's public hostnames at Cloudflare.",
        then: "For its own file, `oceanid plan --diff --only cloudflared NODE`. Otherwise add the public hostname at \
               Cloudflare, with the service that the error names.",
    },
    Explanation {
        code: "other-service",
        means: "cloudflared leads the public name to another service than cluster.toml says.",
        why: "Its file, or the public hostname at Cloudflare, names another address.",
        then: "Make both the same: `service` of the `[[tunnel]]`, and the rule.",
    },
    Explanation {
        code: "tunnel-refused",
        means: "Cloudflare refuses the tunnel.",
        why: "It was deleted there, or its credentials were rotated.",
        then: "Get the tunnel's token anew, put it where `[[tunnel]]` says, then `oceanid bootstrap --only cloudflared \
               NODE`.",
    },
    Explanation {
        code: "no-edge",
        means: "cloudflared runs and has no connection to Cloudflare.",
        why: "The way out to port 7844 is closed, for UDP or for both.",
        then: "Let the node out to port 7844, TCP and UDP. Without UDP cloudflared needs `protocol = \"http2\"`.",
    },
    Explanation {
        code: "open-to-everybody",
        means: "ALARM: the public name is meant to be guarded, and answers anybody.",
        why: "Its Access application is missing, or a policy of it lets everybody through.",
        then: "`systemctl stop cloudflared` on the node closes it now. Then give the name an Access application with a \
               policy of Service Auth.",
    },
    Explanation {
        code: "guarded",
        means: "The public name is meant to be open, and Access guards it.",
        why: "cluster.toml says `open = true`, Cloudflare has an Access application for the name.",
        then: "Decide which is meant: take `open = true` out of `access`, or take the application away.",
    },
    Explanation {
        code: "blocked-by-rule",
        means: "A rule of the zone's firewall blocks the call before Access sees it.",
        why: "A custom or managed rule, or bot protection, takes the call for an attack.",
        then: "At Cloudflare, Security > Events shows the rule. Except the name from it.",
    },
    Explanation {
        code: "sent-to-login",
        means: "Access shows its login page to a call with a service token.",
        why: "The token has expired, or no policy of Service Auth (`non_identity`) includes it. A policy of `allow` \
              takes no service token.",
        then: "Look for the token's expiry and for the policy at Cloudflare; a new token goes where `access` of the \
               tunnel says.",
    },
    Explanation {
        code: "token-refused",
        means: "Access does not know the service token.",
        why: "It has expired, was rotated or deleted, or was copied wrongly.",
        then: "Make a new one at Cloudflare, and put it where `access` of the tunnel says.",
    },
    Explanation {
        code: "token-forbidden",
        means: "Access knows the service token and does not let it in.",
        why: "No policy of Service Auth of this application includes it.",
        then: "Add the token to a policy of Service Auth of the name's Access application.",
    },
    Explanation {
        code: "redirected",
        means: "The public name sends callers elsewhere.",
        why: "A redirect rule of the zone takes the name before the tunnel does.",
        then: "Look for the rule at Cloudflare and except the name.",
    },
    Explanation {
        code: "no-rule-there",
        means: "Another cloudflared took the call, and has no rule for the name.",
        why: "A second machine runs the same tunnel with other rules; Cloudflare chooses among them.",
        then: "The tunnel's connectors at Cloudflare show it; stop cloudflared there.",
    },
    Explanation {
        code: "service-out-of-reach",
        means: "Another cloudflared took the call, and does not reach the service.",
        why: "A second machine runs the same tunnel, and the service does not run on that one.",
        then: "The tunnel's connectors at Cloudflare show it; stop cloudflared there.",
    },
    Explanation {
        code: "no-tunnel",
        means: "The DNS record leads to a tunnel that is not connected.",
        why: "The record belongs to a former tunnel, or the tunnel was deleted.",
        then: "Make the record a proxied CNAME to the id of the tunnel that runs on the node.",
    },
    Explanation {
        code: "no-such-tunnel",
        means: "The DNS record leads to a tunnel that Cloudflare does not know.",
        why: "The id in it is mistyped, or of another account.",
        then: "Make the record a proxied CNAME to `<tunnel>.cfargotunnel.com` with the right id.",
    },
    Explanation {
        code: "not-through-a-tunnel",
        means: "The DNS record leads to a machine that Cloudflare does not reach.",
        why: "It is an address instead of a CNAME to a tunnel.",
        then: "Make it a proxied CNAME to `<tunnel>.cfargotunnel.com`.",
    },
    Explanation {
        code: "rate-limited",
        means: "A rate limit of the zone holds the call back.",
        why: "Too many calls came from this address within the limit's time.",
        then: "Wait for it, then `oceanid verify` again.",
    },
    Explanation {
        code: "no-certificate",
        means: "What answers for the name has no certificate for it.",
        why: "Cloudflare's free certificate is for the domain and one name below it, not for names further down.",
        then: "Take a shorter name, or order a certificate at Cloudflare.",
    },
    Explanation {
        code: "untrusted-certificate",
        means: "The certificate of the public name is of no CA that is trusted.",
        why: "Somebody in between shows one of their own: a proxy of your network, or somebody worse.",
        then: "If it is your proxy, `ca` of `[sources]` names its CA. If it is not, do not send a token.",
    },
    Explanation {
        code: "pod-without-name",
        means: "The public name has an address here, and none in pods.",
        why: "The cluster's DNS asks a server that does not know it, or none at all.",
        then: "`kubectl -n kube-system logs deploy/coredns` shows whom it asks, and what it hears.",
    },
    Explanation {
        code: "no-resolver",
        means: "The DNS of this machine does not answer.",
        why: "Its resolver is down or out of reach; that says nothing of the tunnel.",
        then: "`getent ahosts example.com` shows whether it knows any name.",
    },
    Explanation {
        code: "no-record",
        means: "There is no DNS record for the public name.",
        why: "It was never made, or removed, or is so new that resolvers do not know it yet.",
        then: "Make a proxied CNAME to `<tunnel>.cfargotunnel.com` at Cloudflare.",
    },
    Explanation {
        code: "pod-shut-in",
        means: "From a pod the way to the public name is shut, although it is open from here.",
        why: "A network policy, or the node's own firewall, keeps pods from going out.",
        then: "`kubectl get networkpolicy -A` shows what pods may reach; `iptables -S FORWARD` on the node what it lets \
               through.",
    },
    Explanation {
        code: "out-of-reach",
        means: "The public name does not answer here at all.",
        why: "This machine does not reach Cloudflare: no network, a firewall, or a proxy that it needs.",
        then: "`curl -v https://NAME/` shows how far it gets.",
    },
    Explanation {
        code: "no-model-list",
        means: "Triton is ready, and its list of models does not come through the tunnel.",
        why: "A rule of the zone, or Triton's own settings, keeps `/v2/repository/index` back.",
        then: "Let that path through.",
    },
    Explanation {
        code: "unexpected-answer",
        means: "The public name answers, and not as the service does.",
        why: "None of the known causes fits: the status in the evidence says what came back.",
        then: "`journalctl -u cloudflared -n 50` on the node shows what came through the tunnel.",
    },
];
