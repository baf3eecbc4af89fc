//! From what was written to what runs: names resolved, defaults that depend on others settled, every provider compiled with its
//! credentials. Pure: no file is opened, no host name resolved, no clock read.

mod egress;
mod route;
mod server;
mod source;
mod store;
mod target;

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
        sources,
        paths,
        targets,
        routes,
    })
}
