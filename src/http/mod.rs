//! HTTP: routes, rights, limits, WHEP and the page. Handlers hold no state; they
//! ask the [`Gateway`] and wait.
//!
//! | file | what |
//! |---|---|
//! | `route`, `route_ptz` | what a URL means (pure) |
//! | `client` | who the peer is, behind trusted proxies (pure) |
//! | `credentials`, `password`, `auth` | who sent a request and what they may do |
//! | `limits` | requests per address, sizes, times |
//! | `accept` | media types, encodings, entity tags (pure) |
//! | `whep`, `cors` | the WHEP resources |
//! | `hls` | playlists and what they name |
//! | `snapshot` | the last picture of a path |
//! | `ptz`, `ptz_body`, `origin` | cameras that are steered, and by whose pages |
//! | `page`, `assets` | wall, player, embedded files |
//! | `reply` | the shape of errors |
//! | `server` | listeners, workers, dispatch |

mod accept;
mod assets;
mod auth;
mod client;
mod cors;
mod credentials;
mod gateway;
mod hls;
mod limits;
mod origin;
mod page;
mod password;
mod ptz;
mod ptz_body;
mod reply;
mod route;
mod route_ptz;
mod server;
mod snapshot;
mod whep;

pub use gateway::{Boxed, Gateway, Hls, HlsAnswer, Look, Opened, Patch, Restarted, Seen, Watch};
pub use server::{Handle, Serves, bind, serve};

#[cfg(test)]
mod tests;
