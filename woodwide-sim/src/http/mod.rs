//! The service: reading requests, letting faults strike, the handlers of each route, and the routes to control it all.

pub(crate) mod call;

mod form;

mod gate;

mod deliver;

mod admin;

pub(crate) mod refer;

pub(crate) mod uploads;

pub(crate) mod datasets;

pub(crate) mod models;

pub(crate) mod infer;

pub(crate) mod jobs;

pub(crate) mod results;

pub(crate) mod objects;

pub(crate) mod keys;

pub(crate) mod organization;

pub(crate) mod beta;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodFilter, on};

use crate::route::ROUTES;
use crate::simulator::Sim;

/// Everything that is served.
pub(crate) fn router(sim: &Arc<Sim>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let Ok(method) = MethodFilter::try_from(route.method.clone()) else { continue };
        let sim = Arc::clone(sim);
        let serve = move |request: Request| gate::serve(Arc::clone(&sim), route, request);
        router = router.route(route.path, on(method, serve));
    }
    let missing = |sim: &Arc<Sim>, status| {
        let sim = Arc::clone(sim);
        move |request: Request| std::future::ready(gate::no_route(&sim, request, status))
    };
    router
        .method_not_allowed_fallback(missing(sim, 405))
        .fallback(missing(sim, 404))
        .merge(admin::router(Arc::clone(sim)))
}
