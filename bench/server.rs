//! The API as a server of its own, on the address that it is given: as the limit is one, and `FastAPI`. Inside the local stack
//! it shares threads with the AWS that it calls, and what it takes itself cannot be told from what that takes.

use std::error::Error;

use api::{App, Callers, config::Config};
use aws::Connection;
use domain::Owner;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: server ADDRESS")?;
    let callers = Callers::Only(Owner::new("local"));
    let app = App::new(&Connection::from_env().await.for_requests(), Config::from_env()?, callers);
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, api::router(app)).await?)
}
