//! `tidemill serve`: runs query files, then serves clients until a signal ends it.

use std::sync::Arc;

use super::failure::{Exit, Failure};
use super::run::{Run, needs_check};
use super::signals::{self, Watched};
use crate::engine::{Control, Engine, Progress, Rights};
use crate::error::Error;
use crate::server::Server;

impl Run<'_> {
    /// Runs the files with every right, and serves clients with those that the arguments give them.
    ///
    /// # Errors
    /// What is wrong with the files, or an address that can't be listened at.
    pub(super) async fn serve(&self) -> Result<Exit, Failure> {
        let options = &self.invocation.serve;
        let watched = Arc::new(Watched::default());
        signals::handle(watched.clone(), self.screen.clone())?;
        if needs_check(self.statements().map(|(_, parsed)| &parsed.statement)) {
            self.check().await?;
        }
        let engine = self.engine()?;
        let control = Control::new();
        let mut printer = self.printer(&control)?;
        // The files' queries run while later statements are read: the driver is there from the start.
        let driven = self.drive_in_background(&engine, &control, &watched)?;
        for (script, parsed) in self.statements() {
            if let Err(failure) = self.execute(&engine, &mut printer, script, parsed).await {
                control.abort();
                return Err(failure);
            }
        }
        // Who connects finds views with what there was to find.
        engine.begun(None).await;
        let server = match Server::bind(options.pg_addr).await {
            Ok(server) => server,
            Err(error) => {
                control.abort();
                return Err(error.into());
            }
        };
        watched.running(&control);
        let address = server.address();
        self.screen.say(&format!(
            "listening at {address} for PostgreSQL clients: psql -h {} -p {}",
            address.ip(),
            address.port()
        ));
        server.serve(engine.limited(self.rights()), &control).await;
        // The driver ends once outputs are complete; when it was told to stop at once, it is not waited for.
        tokio::select! {
            _ = driven => {}
            () = control.aborted() => {}
        }
        self.screen.clear_status();
        self.sum_up(&engine.progress());
        Ok(watched.aborted_by().map_or(Exit::Done, Exit::Signal))
    }

    fn rights(&self) -> Rights {
        let options = &self.invocation.serve;
        let rights = options.allow_files.iter().fold(Rights::none(), |rights, folder| rights.folder(folder));
        if options.allow_network { rights.network() } else { rights }
    }

    /// Drives queries on a thread of its own; says when it has ended.
    fn drive_in_background(
        &self,
        engine: &Engine,
        control: &Control,
        watched: &Arc<Watched>,
    ) -> Result<tokio::sync::oneshot::Receiver<()>, Error> {
        let (ended, driven) = tokio::sync::oneshot::channel();
        let (engine, control, watched) = (engine.clone(), control.clone(), watched.clone());
        let (screen, runtime) = (self.screen.clone(), tokio::runtime::Handle::current());
        let thread = std::thread::Builder::new().name("driver".to_owned()).stack_size(super::STACK_BYTES);
        thread.spawn(move || {
            let mut observe = |progress: &Progress| watched.observe(progress);
            let mut failed = |error: Error| screen.say(&Failure::from(error).render(screen.color()));
            runtime.block_on(engine.keep_running(&control, &mut observe, &mut failed));
            let _ = ended.send(());
        })?;
        Ok(driven)
    }
}
