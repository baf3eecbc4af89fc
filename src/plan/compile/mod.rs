//! From what was written to what runs: names resolved, defaults that depend on others settled, every provider compiled with its
//! credentials. Pure: no file is opened, no host name resolved, no clock read.

mod alerts;
mod answers;
mod egress;
mod guard;
mod provider;
mod route;
mod secrets;
mod server;
mod source;
mod store;
mod target;

pub use source::intake;

use crate::{config::Config, plan::Plan, provider::Catalogue, yaml::Problems};

/// Compiles; every problem is noted, and `None` means at least one was an error, of the reading or of the compiling.
pub fn compile(config: &Config, catalogue: &Catalogue, problems: &mut Problems) -> Option<Plan> {
    let server = server::server(&config.server, problems);
    let admin = server::admin(&config.admin, problems);
    server::listeners(config, problems);
    let egress = egress::egress(&config.egress);
    let targets = target::targets(config, &egress, problems);
    let sources = source::sources(config, catalogue, problems);
    let routes = route::routes(config, problems);
    let alerts = alerts::alerts(config, problems);
    if problems.has_errors() {
        return None;
    }
    let enabled = sources.values().filter(|source| !source.disabled);
    let paths = enabled.flat_map(|source| source.paths.iter().map(|path| (path.clone(), source.clone()))).collect();
    Some(Plan {
        generation: 1,
        server,
        monitor: server::monitor(&config.monitor),
        admin,
        store: store::store(config),
        log: store::log(&config.log),
        egress,
        alerts,
        sources,
        paths,
        targets,
        routes,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        path::{Path, PathBuf},
        time::Duration,
    };

    use super::*;
    use crate::{
        alert::Kind,
        clock::Clock,
        config::{self, Surroundings},
        event::EventTypes,
        name::{SourceName, TargetName},
        plan::{DedupBy, Tls, Unrouted},
        subject::SubjectName,
    };

    const SECRET: &str = "0123456789abcdef-canary";

    fn compiled(text: &str, variables: &[(&str, &str)]) -> (Option<Plan>, Vec<String>) {
        let files = BTreeMap::from([(PathBuf::from("f.yaml"), text.as_bytes().to_vec())]);
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut problems = Problems::new();
        let around = Surroundings::held(files, variables, Clock::System);
        let config = config::load(Some(Path::new("f.yaml")), &around, &mut problems).expect("a tree");
        let catalogue = config.catalogue(&around, &mut problems);
        let plan = compile(&config, &catalogue, &mut problems);
        assert_eq!(plan.is_none(), problems.has_errors());
        (plan, problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    /// A file that compiles, with `more` behind it.
    fn file(source: &str, target: &str, more: &str) -> String {
        format!(
            "sources:\n  a: {{ provider: github, secret: {SECRET}{source} }}\n\
             targets:\n  t: {{ url: \"http://127.0.0.1:3000/in\"{target} }}\n{more}\n"
        )
    }

    const ROUTE: &str = "routes: [{ from: a, to: t }]";

    #[test]
    fn an_old_name_is_one_target_s_and_no_target_has_it_now() {
        let (plan, problems) = compiled(&file("", ", formerly: [older, oldest]", ROUTE), &[]);
        assert_eq!(problems, Vec::<String>::new());
        let names: Vec<_> = plan.expect("compiled").targets.values().flat_map(|target| target.formerly.clone()).collect();
        assert_eq!(names.iter().map(TargetName::as_str).collect::<Vec<_>>(), ["older", "oldest"]);
        for (formerly, said) in
            [("[t]", "is a target of its own"), ("[Old]", "cannot be a target's name"), ("[x, x]", "is an old name already")]
        {
            let (plan, problems) = compiled(&file("", &format!(", formerly: {formerly}"), ROUTE), &[]);
            assert!(plan.is_none() && problems.len() == 1 && problems[0].contains(said), "{formerly}: {problems:?}");
        }
    }

    #[test]
    fn a_small_file_becomes_a_plan_with_every_default() {
        let (plan, problems) = compiled(&file("", "", ROUTE), &[]);
        assert_eq!(problems, Vec::<String>::new());
        let plan = plan.expect("compiled");
        assert_eq!(plan.server.listen.to_string(), "127.0.0.1:8080");
        assert!(matches!(plan.server.tls, Tls::None) && plan.monitor.is_none() && plan.admin.tokens.is_empty());
        assert_eq!(plan.store.path, PathBuf::from("./hookgate-data/hookgate.db"));
        let source = &plan.paths["/hooks/a"];
        assert_eq!((&*source.provider, source.unrouted, source.dedup.by), ("github", Unrouted::Keep, DedupBy::Provider));
        assert!(source.answer_within <= Duration::from_millis(2500) && source.dedup.window >= Duration::from_secs(7 * 24 * 60 * 60));
        assert!(source.dedup.revive && source.body_limit >= 1 << 20 && source.body_limit <= 32 << 20);
        let target = &plan.targets[&TargetName::parse("t").expect("a name")];
        assert_eq!((target.timeout, target.concurrency), (Duration::from_secs(10), 16));
        let hits = plan.routes.fan_out(&SourceName::parse("a").expect("a name"), &EventTypes::default());
        assert_eq!((hits.len(), hits[0].route.as_str()), (1, "route-1"));
        assert!(!format!("{plan:?}").contains("canary"));
    }

    /// Holds what is said of each file against what should be, and the whole against the secrets in it.
    fn told(cases: &[(String, &str)]) {
        let told: Vec<(&String, &str, Vec<String>)> =
            cases.iter().map(|(text, expected)| (text, *expected, compiled(text, &[]).1)).collect();
        let wrong: Vec<String> = told
            .iter()
            .filter(|(_, expected, got)| got != &[*expected])
            .map(|(text, expected, got)| format!("{text}  wanted {expected}\n  got    {}", got.join("\n         ")))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(told.iter().all(|(_, _, got)| !got.join("").contains("canary")));
    }

    /// Processor time of this thread: a busy machine makes nothing slow.
    fn processor_time() -> Duration {
        Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)).expect("a time")
    }

    #[test]
    fn a_large_file_in_which_all_is_wrong_is_judged_soon() {
        let large = |begin: &str, each: &dyn Fn(usize) -> String| {
            let mut text = begin.to_owned();
            let mut lines = (0..).map(each);
            while text.len() < 1_000_000 {
                text.extend(lines.next());
            }
            text
        };
        let names = large("routes: [{ to: t7x }]\ntargets:\n", &|number| format!("  t{number}: {{ url: x, timeout: 5 }}\n"));
        let half = (0..12_000).map(|number| format!("  t{number}: {{ url: http://a/ }}\n")).collect::<String>();
        let cases = [
            ("targets", names),
            ("sources", large("sources:\n", &|number| format!("  s{number}: {{ provider: githbu, path: x, pth: 1 }}\n"))),
            ("routes", large(&format!("targets:\n{half}routes:\n"), &|number| format!("  - {{ to: u{number} }}\n"))),
            ("keys", large("server:\n", &|number| format!("  lisen{number}: 1\n"))),
            ("twice", large("server:\n", &|_| "  listen: x\n".to_owned())),
            ("values", large("server:\n  trusted_proxies:\n", &|_| "  - x\n".to_owned())),
            ("variables", large("admin:\n  hosts:\n", &|_| "  - \"${NOBODY}\"\n".to_owned())),
        ];
        for (what, text) in cases {
            let before = processor_time();
            let (plan, problems) = compiled(&text, &[]);
            let took = processor_time().saturating_sub(before);
            assert!(plan.is_none() && took < Duration::from_secs(10), "{what}: {} problems in {took:?}", problems.len());
        }
    }

    #[test]
    fn mistakes_in_sources_are_told_with_their_place() {
        told(&[
            (
                file("", "", ""),
                "f.yaml:2:3: no route names the source `a`; name it in `routes`, or write `unrouted: keep` to collect its events",
            ),
            (
                file(", unrouted: drop", "", ""),
                "f.yaml:2:3: no route names the source `a`; name it in `routes`, or write `unrouted: keep` to collect its events",
            ),
            (
                file(", credentials: { secrte: 0123456789abcdef }", "", ROUTE),
                "f.yaml:2:74: `github` has no credential `secrte`; did you mean `secret`?",
            ),
            (
                file(", credentials: { secret: 0123456789abcdef }", "", ROUTE),
                "f.yaml:2:74: `secret` is written twice, as `secret` and among the `credentials`",
            ),
            (
                file(", body_limit: 64MiB", "", ROUTE),
                "f.yaml:2:71: `body_limit` is at least 1B and at most `server.limits.body_max` (32MiB)",
            ),
            (
                file(", dedup: { window: 1000d }", "", ROUTE),
                "f.yaml:2:76: `window` is at most 366d: each event's key is kept for that long",
            ),
            (file(", path: [/x, /x]", "", ROUTE), "f.yaml:2:70: the path `/x` of `a` is taken by `a` at f.yaml:2:66"),
            (file(", tolerance: 5m", "", ROUTE), "f.yaml:2:6: github signs no timestamp, so a tolerance has no meaning"),
        ]);
    }

    #[test]
    fn what_all_have_is_no_mistake_of_the_one_it_does_not_fit() {
        let defaults =
            "defaults:\n  source: { tolerance: 10m, allow_unsigned: true }\n  target: { connect_timeout: 5s, tls: { ca: a.pem } }\n";
        let text = file("", ", timeout: 2s", &format!("{ROUTE}\n{defaults}"));
        let (plan, problems) = compiled(&text, &[]);
        assert_eq!(problems, Vec::<String>::new());
        let plan = plan.expect("compiled");
        let target = plan.targets.values().next().expect("a target");
        assert_eq!((target.connect_timeout, target.timeout), (Duration::from_secs(2), Duration::from_secs(2)));
        assert!(target.tls.ca.is_none());
        // What a target says itself is held against it.
        let own = text.replace("timeout: 2s", "timeout: 2s, connect_timeout: 3s");
        assert_eq!(compiled(&own, &[]).1, ["f.yaml:4:71: `connect_timeout` (3s) is longer than `timeout` (2s)"]);
    }

    #[test]
    fn a_source_has_room_for_its_largest_body_or_does_not_start() {
        let limits = |in_flight: &str, share: &str| {
            let limits = format!("body: 1MiB, body_max: 1MiB, in_flight: {in_flight}, in_flight_per_source: {share}");
            compiled(&file("", "", &format!("{ROUTE}\nserver: {{ limits: {{ {limits} }} }}")), &[]).1
        };
        // 25 % of a MiB that is no multiple of 100 bytes is exactly one body.
        assert_eq!(limits("4MiB", "25%"), Vec::<String>::new());
        assert_eq!(limits("2MiB", "50%"), Vec::<String>::new());
        assert_eq!(
            limits("4MiB", "24%"),
            ["f.yaml:6:88: a source may hold 1006632B in flight, which is less than one body of `a` (1MiB); raise \
              `server.limits.in_flight` or its share"]
        );
        assert_eq!(
            limits("1MiB", "100%"),
            ["f.yaml:6:60: what is not verified yet may hold 512KiB in flight, which is less than one body of `a` (1MiB); raise \
              `server.limits.in_flight` or its share"]
        );
    }

    #[test]
    fn mistakes_in_guards_are_told_with_their_place() {
        let provider =
            |slug: &str, more: &str| file("", "", ROUTE).replace("github", slug).replace(" }\ntargets", &format!("{more} }}\ntargets"));
        let hub = |more: &str| {
            let secret = format!(", secret: {SECRET}");
            provider("docker-hub", more).replace(&secret, "")
        };
        let (proves, anyone) = ("`docker-hub` proves nothing", "whoever knows its URL");
        told(&[
            (
                hub(""),
                &format!(
                    "f.yaml:2:18: {anyone} could ring at `a`: {proves}; guard it by `url_token`, `allow_ips` or `client_cert`, \
                     or write `allow_unsigned: true`"
                ),
            ),
            (hub(", allow_unsigned: true"), &format!("f.yaml:2:46: warning: {anyone} can ring at `a`: {proves}")),
            (
                provider("github", ", allow_unsigned: true"),
                "f.yaml:2:75: warning: `allow_unsigned` changes nothing: `github` proves who rings, and `a` asks for that",
            ),
            (
                hub(&format!(", url_token: [{}]", ["1", "2", "3", "4", "5"].map(|n| format!("{SECRET}-{n}")).join(", "))),
                "f.yaml:2:41: `url_token` has 5 active values, and 4 is the most",
            ),
            (
                provider("square", &format!(", public_url: https://x/in, url_token: [{SECRET}-1, {SECRET}-2]")),
                "f.yaml:2:96: `square` signs its URL, and `url_token` is part of it, so it has one value",
            ),
            (
                provider("github", &format!(", public_url: https://x/in/{SECRET}-1, url_token: {SECRET}-1")),
                "f.yaml:2:71: `public_url` is written without the `url_token`, which is put behind it",
            ),
            (
                provider("github", &format!(", path: [/x, /x/{SECRET}-1], url_token: {SECRET}-1")),
                "f.yaml:2:112: a `url_token` of `a` behind its path makes the path of `a`, which goes first; take one that nobody guesses: \
                 `openssl rand -hex 32`",
            ),
            (
                provider("github", &format!(", url_token: {SECRET} }}\n  b: {{ provider: docker-hub, unrouted: keep, url_token: {SECRET}")),
                "f.yaml:3:57: warning: `b` has a secret of `a`: who knows it can ring at both",
            ),
            (
                provider("github", ", allow_ips: 10.0.0.1") + "server: { tls: upstream }\n",
                "f.yaml:2:70: warning: `allow_ips` sees the proxy's address only: `tls` is `upstream`, and no `trusted_proxies` are named",
            ),
            (
                hub(", client_cert: { san: a.example }"),
                "f.yaml:2:43: `a` asks for a client certificate, and `server.tls` names nobody who signs them; add `client_ca: ca.pem` to \
                 `server.tls`, beside certificates of our own",
            ),
            (
                provider("github", "") + "server: { tls: { cert: a.pem, key: a.key, client_ca: ca.pem } }\n",
                "f.yaml:6:54: warning: `client_ca` asks clients for a certificate and demands none, and no source has a `client_cert`",
            ),
            (
                provider("yotpo", ", respond: { status: 202 }"),
                "f.yaml:2:77: warning: `yotpo` takes 200 alone for a good answer, and will repeat what is answered with 202",
            ),
        ]);
    }

    #[test]
    fn a_source_is_not_open_because_its_tokens_are_past_their_date() {
        let (plan, said) = compiled(&file(&format!(", url_token: {{ value: {SECRET}-u, until: 2001-01-01 }}"), "", ROUTE), &[]);
        assert!(plan.is_none());
        let expected = [
            "f.yaml:2:70: no `url_token` of `a` is good any more",
            "f.yaml:2:113: warning: a `url_token` of `a` is past its `until` and no longer taken",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_source_observes_for_thirty_days_at_most_and_is_said_to() {
        let now = Clock::System.wall();
        let observing = |seconds: u64| {
            let until = now.after(Duration::from_secs(seconds));
            let (plan, said) = compiled(&file(&format!(", observe_until: {until}"), "", ROUTE), &[]);
            (until, plan, said)
        };
        let day = 24 * 60 * 60;
        let (until, plan, said) = observing(30 * day);
        let expected = format!(
            "f.yaml:2:74: warning: `a` ONLY OBSERVES until {until}: it accepts and delivers what nothing proves, and only counts it"
        );
        assert_eq!(said, [expected]);
        let source = plan.expect("compiled").paths["/hooks/a"].clone();
        assert_eq!([now, until].map(|at| source.verification(at)), ["unproved", "signed"], "it stops by itself");
        let (until, plan, said) = observing(30 * day + 3600);
        assert!(plan.is_none());
        assert_eq!(said, [format!("f.yaml:2:74: `observe_until` is at most 30 days ahead, and this is {until}")]);
        let (plan, said) = compiled(&file(", observe_until: 2001-01-01", "", ROUTE), &[]);
        assert_eq!(said, ["f.yaml:2:74: warning: `observe_until` of `a` is past, and it enforces: leave it out"]);
        assert_eq!(plan.expect("compiled").paths["/hooks/a"].verification(now), "signed");
        let (plan, said) = compiled(&file(", observe_until: none", "", ROUTE), &[]);
        assert_eq!((said, plan.expect("compiled").paths["/hooks/a"].verification(now)), (vec![], "signed"));
    }

    #[test]
    fn guards_and_answers_of_a_source_get_into_its_plan() {
        let more =
            format!(", url_token: {SECRET}-u, allow_ips: 10.0.0.1, on_reject: 503, respond: {{ json: [1] }}, public_url: https://x/y?z");
        let (plan, problems) = compiled(&file(&more, "", ROUTE), &[]);
        assert_eq!(problems, Vec::<String>::new());
        let plan = plan.expect("compiled");
        let source = &plan.paths["/hooks/a"];
        assert!(
            source.guard.knows(&format!("{SECRET}-u"), crate::clock::UnixMs(0)) && !source.guard.knows(SECRET, crate::clock::UnixMs(0))
        );
        assert!(source.guard.lets_in([10, 0, 0, 1].into()) && !source.guard.lets_in([10, 0, 0, 2].into()));
        assert_eq!(source.endpoint.as_ref().map(url::Url::as_str), Some("https://x/y?z"), "what is shown has no token in it");
        assert_eq!((source.rejected.status, source.accepted.status, &*source.accepted.body), (503, 200, &b"[1]"[..]));
        assert_eq!((&*source.accepted.content_type, source.verification(crate::clock::UnixMs(0))), ("application/json", "signed"));
        assert!(!format!("{plan:?}").contains("canary"));
        let (plan, _) = compiled(&file(", allow_ips: none, client_cert: none, respond: none", "", ROUTE), &[]);
        let plan = plan.expect("compiled");
        assert!(plan.paths["/hooks/a"].guard.lets_in([10, 0, 0, 2].into()) && plan.paths["/hooks/a"].guard.recognises(&[]));
        let tls = "server: { tls: { cert: a.pem, key: a.key, client_ca: ca.pem } }";
        let (plan, problems) = compiled(&file(", client_cert: { san: [B.example, 192.0.2.7] }", "", &format!("{ROUTE}\n{tls}")), &[]);
        assert_eq!(problems, Vec::<String>::new());
        let plan = plan.expect("compiled");
        let recognises = |name: &str| plan.paths["/hooks/a"].guard.recognises(&[SubjectName::parse(name).expect("a name")]);
        assert!(recognises("b.example") && recognises("192.0.2.7") && !recognises("c.example"));
        assert!(matches!(&plan.server.tls, Tls::Own { client_ca: Some(authorities), .. } if authorities.path.ends_with("ca.pem")));
    }

    #[test]
    fn mistakes_in_headers_are_told_with_their_place() {
        told(&[
            (file("", ", headers: { Hookgate-X: 1 }", ROUTE), "f.yaml:4:52: the header `hookgate-x` is one of those we write ourselves"),
            (
                file("", ", headers: { Connection: x }", ROUTE),
                "f.yaml:4:52: the header `connection` belongs to the connection, and is written by the client",
            ),
            (
                file("", ", headers: { x-a: 1, X-A: 2 }", ROUTE),
                "f.yaml:4:60: the header `x-a` is written twice: case makes no \
             difference",
            ),
            (file("", ", headers: { \"x y\": 1 }", ROUTE), "f.yaml:4:52: `x y` cannot be a header's name"),
            (
                file("", ", headers: { x-a: \"b\\nc\" }", ROUTE),
                "f.yaml:4:57: the header `x-a` holds a character no header may, such as a line break",
            ),
            (
                file("", ", headers: { authorization: x }, auth: { bearer: 0123456789abcdef }", ROUTE),
                "f.yaml:4:52: the header `authorization` is what `auth` writes already",
            ),
        ]);
    }

    #[test]
    fn mistakes_in_targets_are_told_with_their_place() {
        told(&[
            (file("", ", timeout: 301s", ROUTE), "f.yaml:4:50: `timeout` is at most 300s"),
            (file("", ", timeout: 2s, connect_timeout: 3s", ROUTE), "f.yaml:4:71: `connect_timeout` (3s) is longer than `timeout` (2s)"),
            (file("", ", auth: { basic: 0123456789abcdef }", ROUTE), "f.yaml:4:56: `basic` is written `user:password`"),
            (
                file("", ", auth: { bearer: \"0123456789abcdef\\r\\nX: y\" }", ROUTE),
                "f.yaml:4:57: `bearer` holds a character no token may, such as a blank or a line break",
            ),
            (file("", ", tls: { ca: x }", ROUTE), "f.yaml:4:46: `tls` says nothing about an http URL; write https, or leave `tls` out"),
            (file("", ", retry: { first: 2h }", ROUTE), "f.yaml:4:57: `first` (2h) is longer than `max` (1h)"),
            (
                file("", ", retry: { max: 25h }", ROUTE),
                "f.yaml:4:55: `max` is at most 24h: a longer delay is taken for a clock that ran ahead",
            ),
            (
                file("", ", order_by: all", ROUTE),
                "f.yaml:4:51: `order_by` has no value of the request in it, so all events would be the same",
            ),
            (
                file("", ", order_by: \"{bdoy}\"", ROUTE),
                "f.yaml:4:51: `order_by` cannot be read: there is no atom `bdoy`; did you mean `body`?",
            ),
            (
                file("", ", order_by: \"{claim:sub}\"", ROUTE),
                "f.yaml:4:51: `order_by` is made of the request, and claim sub is not part of it",
            ),
            (
                file("", ", order_by: \"${KEY}\"", ROUTE),
                "f.yaml:4:51: nothing is inserted into `order_by`, whose braces are a template; there is `${KEY}`",
            ),
        ]);
    }

    #[test]
    fn mistakes_in_the_rest_are_told_with_their_place() {
        told(&[
            (file("", "", "routes: [{ from: b, to: t }]"), "f.yaml:5:18: there is no source `b`; did you mean `a`?"),
            (file("", "", "routes: [{ to: nowhere }]"), "f.yaml:5:16: there is no target `nowhere`"),
            (file("", "", "routes: [{ to: [t, t] }]"), "f.yaml:5:20: `to` names `t` twice"),
            (file("", "", "routes: [{ from: [a, a], to: t }]"), "f.yaml:5:22: `from` names `a` twice"),
            (
                file(", unrouted: keep", "", "routes: [{ to: t, types: y, name: x }, { to: t, name: x }]"),
                "f.yaml:5:55: there are two routes of the name `x`",
            ),
            (
                file("", "", &format!("{ROUTE}\nserver: {{ listen: 0.0.0.0:80 }}")),
                "f.yaml:6:19: `listen` is 0.0.0.0:80, which is not loopback, and nobody ends TLS there; write `tls: { cert: \
                 chain.pem, key: key.pem }`, or `tls: upstream` behind a proxy that does",
            ),
            (
                file("", "", &format!("{ROUTE}\nserver: {{ limits: {{ body: 64MiB }} }}")),
                "f.yaml:6:27: `body` (64MiB) is more than `body_max` (32MiB); raise `body_max` with it",
            ),
            (
                file("", "", &format!("{ROUTE}\nserver: {{ limits: {{ in_flight: 1MiB }} }}")),
                "f.yaml:6:32: `in_flight` (1MiB) has no room for one body of `body_max` (32MiB)",
            ),
            (
                file("", "", &format!("{ROUTE}\nadmin: {{ listen: 127.0.0.1:8080 }}")),
                "f.yaml:6:18: `admin.listen` is 127.0.0.1:8080, where `server` listens already",
            ),
            (
                file("", "", &format!("{ROUTE}\nadmin: {{ token: {SECRET}, tokens: [{{ name: a, role: read, token: {SECRET} }}] }}")),
                "f.yaml:6:59: the tokens `admin` and `a` are the same",
            ),
            (
                file("", "", &format!("{ROUTE}\negress: {{ deny: [loopback] }}")),
                "f.yaml:4:13: no delivery may go there: 127.0.0.1 is a loopback address, which egress.deny lists; egress.allow can \
                 let it through",
            ),
            (
                file("", "", "routes: [{ to: t }, { to: t }]"),
                "f.yaml:5:21: warning: `route-2` never decides: `route-1` takes its targets before it",
            ),
            (
                file("", "", &format!("  u: {{ url: http://169.254.169.254/ }}\n{ROUTE}")),
                "f.yaml:5:13: no delivery may go there: 169.254.169.254 is a link-local address, which egress.deny lists; \
                 egress.allow can let it through",
            ),
        ]);
    }

    #[test]
    fn mistakes_in_alerts_are_told_with_their_place() {
        let alerting = |source: &str, alerts: &str| file(source, "", &format!("{ROUTE}\nalerts: {alerts}"));
        let unheeded = |why: &str| format!("f.yaml:2:73: warning: `expect_every` changes nothing: {why}");
        told(&[
            (alerting("", "{ to: u }"), "f.yaml:6:15: there is no target `u`; did you mean `t`?"),
            (alerting("", "{ to: [t, t] }"), "f.yaml:6:19: `to` names `t` twice"),
            (alerting("", "{ to: t, events: [dead_letter, dead_letter] }"), "f.yaml:6:40: `events` names `dead_letter` twice"),
            (
                alerting("", "{ to: t, events: source_silent }"),
                "f.yaml:6:26: warning: no source has an `expect_every`, so none is ever `source_silent`",
            ),
            (alerting(", expect_every: 1h", "none"), &unheeded("there are no `alerts`")),
            (alerting(", expect_every: 1h", "{ to: t, events: dead_letter }"), &unheeded("`alerts.events` has no `source_silent`")),
        ]);
    }

    #[test]
    fn who_is_told_of_what_gets_into_the_plan() {
        let (plan, said) = compiled(&file(", expect_every: 1h", "", &format!("{ROUTE}\nalerts: {{ to: t }}")), &[]);
        assert_eq!(said, Vec::<String>::new());
        let plan = plan.expect("compiled");
        assert_eq!(plan.paths["/hooks/a"].expect_every, Some(Duration::from_secs(3600)));
        let alerts = plan.alerts.expect("asked for");
        assert_eq!((alerts.to, alerts.kinds), (vec![TargetName::parse("t").expect("a name")], Kind::ALL.into()));
        let some = file("", "", &format!("{ROUTE}\nalerts: {{ to: t, events: [breaker_open, dead_letter] }}"));
        let (plan, said) = compiled(&some, &[]);
        assert_eq!(said, Vec::<String>::new());
        let kinds = plan.expect("compiled").alerts.expect("asked for").kinds;
        assert_eq!(kinds, [Kind::DeadLetter, Kind::BreakerOpen].into());
    }

    #[test]
    fn one_mistake_makes_no_noise_elsewhere() {
        let text = "sources:\n  a: { provider: githbu, secret: x }\n  b: { provider: github, secret: \"${NOPE}\" }\n\
                    routes:\n  - { from: a, to: nowhere }\nserver: { lisen: 1 }\n";
        let problems = compiled(text, &[]).1;
        let expected = [
            "f.yaml:2:18: there is no provider `githbu`; did you mean `github`?",
            "f.yaml:2:34: warning: `secret` is shorter than 16 bytes and may be guessed",
            "f.yaml:3:3: no route names the source `b`; name it in `routes`, or write `unrouted: keep` to collect its events",
            "f.yaml:3:34: the environment variable NOPE is not set; set it, or give a default: `${NOPE:-...}`",
            "f.yaml:5:20: there is no target `nowhere`",
            "f.yaml:6:11: `server` has no `lisen`; did you mean `listen`?",
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_window_that_is_shorter_than_a_request_can_be_taken_is_worth_a_warning() {
        let window = |provider: &str, more: &str| {
            let source = format!("{{ provider: {provider}, secret: whsec_0123456789abcdef{more} }}");
            let text = format!("sources:\n  a: {source}\ntargets: {{ t: {{ url: http://x/ }} }}\nroutes: [{{ to: t }}]\n");
            let (plan, problems) = compiled(&text, &[]);
            (plan.expect("compiled").paths["/hooks/a"].dedup.window.as_secs() / 3600, problems)
        };
        assert_eq!(window("stripe", ""), (7 * 24, vec![]));
        assert_eq!(window("stripe", ", tolerance: none"), (7 * 24, vec![]));
        let said = |column: u32, tolerance: &str, window: &str| {
            let what = format!("a request is taken for {tolerance} after its timestamp, and after {window} it will count as new");
            format!("f.yaml:2:{column}: warning: {what}")
        };
        assert_eq!(window("stripe", ", tolerance: 10d"), (7 * 24, vec![said(69, "10d", "7d")]));
        assert_eq!(window("stripe", ", tolerance: 5d, dedup: { window: 4d }"), (4 * 24, vec![said(90, "5d", "4d")]));
        let repeats = "f.yaml:2:75: warning: `stripe` repeats for 3d, and repeats after 1h will count as new".to_owned();
        assert_eq!(window("stripe", ", dedup: { window: 1h }"), (1, vec![repeats]));
    }

    #[test]
    fn secrets_are_counted_compared_and_held_against_their_dates() {
        let with = |secret: &str, more: &str| {
            format!(
                "sources:\n  a: {{ provider: github, secret: {secret} }}\n{more}targets: {{ t: {{ url: http://x/ }} }}\nroutes: [{{ \
                 to: t }}]\n"
            )
        };
        let five = with("[canary-0123456789-1, canary-0123456789-2, canary-0123456789-3, canary-0123456789-4, canary-0123456789-5]", "");
        assert_eq!(compiled(&five, &[]).1, ["f.yaml:2:34: `secret` has 5 active values, and 4 is the most"]);
        let past = with(
            "[canary-0123456789-1, canary-0123456789-2, canary-0123456789-3, canary-0123456789-4, { value: canary-0123456789-5, \
             until: 2001-01-01 }]",
            "",
        );
        let (plan, problems) = compiled(&past, &[]);
        assert!(plan.is_some());
        assert_eq!(problems, ["f.yaml:2:156: warning: a secret of `a` is past its `until` and no longer taken"]);
        let shared = with("canary-0123456789", "  b: { provider: github, secret: canary-0123456789 }\n");
        let (plan, problems) = compiled(&shared, &[]);
        assert!(plan.is_some());
        assert_eq!(problems, ["f.yaml:3:34: warning: `b` has a secret of `a`: who knows it can ring at both"]);
        assert_eq!(compiled(&with("{ value: canary-0123456789, until: 2001-01-01 }", ""), &[]).0.map(|_| ()), None);
    }

    #[test]
    fn too_many_targets_for_one_event_are_refused() {
        let targets: String = (0..65).map(|n| format!("  t{n}: {{ url: http://x/ }}\n")).collect();
        let to: Vec<String> = (0..65).map(|n| format!("t{n}")).collect();
        let text = format!(
            "sources:\n  a: {{ provider: github, secret: {SECRET} }}\ntargets:\n{targets}routes:\n  - {{ to: [{}] }}\n",
            to.join(", ")
        );
        assert_eq!(compiled(&text, &[]).1, ["f.yaml:2:3: events of `a` may go to more than 64 targets, which is the most"]);
    }

    #[test]
    fn every_source_of_a_large_file_that_goes_too_far_is_named() {
        const EACH: usize = 1_000;
        let lines = |line: fn(usize) -> String| (0..EACH).map(line).collect::<String>();
        let sources = lines(|n| format!("  s{n}: {{ provider: github, secret: {SECRET}{n} }}\n"));
        let targets = lines(|n| format!("  t{n}: {{ url: http://x/ }}\n"));
        let routes = lines(|n| format!("  - {{ to: t{n} }}\n"));
        let problems = compiled(&format!("sources:\n{sources}targets:\n{targets}routes:\n{routes}"), &[]).1;
        let far = problems.iter().filter(|problem| problem.ends_with(" may go to more than 64 targets, which is the most")).count();
        assert_eq!(far, EACH, "{:?}", problems.first());
    }

    /// A file with one source `a`, of which this is said beside its secret.
    fn written(source: &str) -> String {
        format!("sources:\n  a:\n    secret: {SECRET}\n{source}targets: {{ t: {{ url: \"http://x/\" }} }}\n{ROUTE}\n")
    }

    const SIGNED: &str = "{ scheme: hmac-sha256, signature: { at: header:X-Sig, encoding: hex }, message: \"{body}\"";

    #[test]
    fn a_provider_written_in_a_source_runs_like_one_in_a_file() {
        let unproved = |at: &str| {
            format!(
                "f.yaml:{at}: warning: the `verify` of `a` is unproved: nothing shows that it verifies as its sender signs; a file in \
                 `providers_dir` can, by its `vectors`"
            )
        };
        let one = format!(
            "    verify: {SIGNED}, event: {{ id: \"{{json:/id}}\" }}, limits: {{ body: 2KiB }}, \
             replies: {{ accepted: {{ status: 202 }} }} }}\n"
        );
        let several = format!("    verify:\n      - {SIGNED} }}\n      - {{ scheme: none, require: {{ header:X: true }} }}\n");
        let like = "    verify: { like: github, event: { id: \"{json:/id}\" } }\n".to_owned();
        for (text, place) in [(&one, "4:13"), (&several, "5:7"), (&like, "4:13")] {
            let (plan, problems) = compiled(&written(text), &[]);
            assert_eq!(problems, [unproved(place)], "{text}");
            let plan = plan.expect("compiled");
            let source = &plan.paths["/hooks/a"];
            assert_eq!((&*source.provider, source.verification(crate::clock::UnixMs(0)), source.unproved), ("inline", "unproved", true));
        }
        let source = compiled(&written(&one), &[]).0.expect("compiled").paths["/hooks/a"].clone();
        assert_eq!((source.body_limit, source.accepted.status), (2048, 202));
        // A guarded source without any proof needs no secret, and one without a guard does not load.
        let none = "sources: { a: { verify: { scheme: none } } }\n";
        let guarded = none.replace("verify", "url_token: 0123456789abcdef, verify");
        assert!(compiled(&format!("{guarded}targets: {{ t: {{ url: \"http://x/\" }} }}\n{ROUTE}"), &[]).0.is_some());
        assert!(compiled(none, &[]).1.iter().any(|said| said.starts_with("f.yaml:1:25: whoever knows its URL could ring at `a`")));
    }

    #[test]
    fn what_is_wrong_with_it_is_told_where_it_stands() {
        let cases = [
            ("hmac-sha256", "hmac-sha265", "f.yaml:4:23: the scheme cannot be `hmac-sha265`; did you mean `hmac-sha256`?"),
            ("encoding: hex", "encodign: hex", "f.yaml:4:67: a signature has no `encodign`; did you mean `encoding`?"),
            ("{body}", "{bodi}", "f.yaml:4:93: the message: there is no atom `bodi`; did you mean `body`?"),
            ("{body}", "${body}{credential:word}", "f.yaml:3:5: inline needs `word` (word)"),
            (
                "{body}",
                "$${CANARY}",
                "f.yaml:4:93: nothing is inserted under `verify`, whose braces are templates; give `${CANARY}` as `secret` or under the \
                 source's `credentials`, and name it: `{credential:NAME}`",
            ),
            (
                "{body}\"",
                "{body}\", like: githbu",
                "f.yaml:4:109: there is no provider `githbu` to be like; `hookgate providers` lists them",
            ),
            ("{body}\"", "{body}\", credentials: { key: { label: Key } }", "f.yaml:4:13: `credentials` has no `secret`; declared: key"),
            ("{body}\"", "{body}\", vectors: []", "f.yaml:4:103: `verify` has no `vectors`; known here: "),
            ("{body}\"", "{url}\"", "`inline` signs its URL, and no public URL of `a` is known"),
        ];
        let mut wrong = Vec::new();
        for (old, new, expected) in cases {
            let text = written(&format!("    verify: {SIGNED} }}\n")).replacen(old, new, 1);
            let said = compiled(&text, &[("CANARY", "canary")]).1;
            if !said.iter().any(|said| said.contains(expected)) {
                wrong.push(format!("{new}: wanted {expected}\n{said:#?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // A secret for what takes none is no oversight.
        let named = written("    verify: { scheme: none }\n    allow_unsigned: true\n");
        assert!(compiled(&named, &[]).1.iter().any(|said| said.starts_with("f.yaml:3:13: `inline` has no credential `secret`")));
    }

    #[test]
    fn the_reference_and_every_example_compile() {
        let files = [
            include_str!("../../../config/hookgate.yaml"),
            include_str!("../../../config/examples/orders-fan-out.yaml"),
            include_str!("../../../config/examples/behind-a-proxy.yaml"),
            include_str!("../../../config/examples/rotating-secrets.yaml"),
        ];
        let variables = [
            ("HOOKGATE_TOKEN", "canary-token-0123456789"),
            ("OPS_TOKEN", "canary-ops-0123456789"),
            ("GITHUB_WEBHOOK_SECRET", "canary-github-0123456789"),
            ("STRIPE_OLD_SECRET", "whsec_canary-old-0123456789"),
            ("STRIPE_SECRET", "whsec_canary-new-0123456789"),
            ("STRIPE_SECRET_OLD", "whsec_canary-old-0123456789"),
            ("SHOP_URL_TOKEN", "canary-shop-0123456789"),
            ("PARTNER_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("LEGACY_SECRET", "canary-legacy-0123456789"),
            ("BATCH_SEAL", "canary-seal-0123456789"),
            ("BATCH_WORD", "canary-word-0123456789"),
            ("STAGING_SECRET", "whsec_canary-staging-0123456789"),
            ("CRM_TOKEN", "canary-crm-0123456789"),
            ("OLD_LOGIN", "canary:canary-0123456789"),
        ];
        for text in files {
            let mut held: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::from([(PathBuf::from("f.yaml"), text.as_bytes().to_vec())]);
            held.insert("/run/secrets/stripe".into(), b"whsec_canary-file-0123456789\n".to_vec());
            held.insert("/run/secrets/ADMIN_TOKEN".into(), b"canary-admin-0123456789\n".to_vec());
            held.insert("/run/secrets/GITHUB_SECRET".into(), b"canary-github-0123456789\n".to_vec());
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let mut problems = Problems::new();
            let around = Surroundings::held(held, variables, Clock::System);
            let config = config::load(Some(Path::new("f.yaml")), &around, &mut problems).expect("a tree");
            let plan = compile(&config, &config.catalogue(&around, &mut problems), &mut problems);
            let said: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
            // What is written in a source is never proved, and that is all there is to say of these.
            let (unproved, other): (Vec<String>, Vec<String>) = said.into_iter().partition(|said| said.contains("` is unproved: "));
            assert_eq!(other, Vec::<String>::new(), "{text}");
            assert_eq!(unproved.len(), config.sources.0.iter().filter(|(_, source)| source.verify.is_some()).count());
            assert!(!format!("{config:?} {plan:?} {}", config.listing()).contains("canary"));
        }
    }
}
