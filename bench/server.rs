//! The API as a separate server on the given address, like the limit and `FastAPI`. Inside the local stack the API shares
//! threads with the AWS emulation that it calls, so its own cost cannot be measured there.

use std::error::Error;

use api::{App, Callers, config::Config};
use aws::Connection;
use domain::Owner;
use runtime::FromEnvironment as _;
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
