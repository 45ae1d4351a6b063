//! Going through a whole list of AMFJ, which may make no sense: then it is begun anew, as often as the change may be tried.

use std::marker::PhantomData;

use amfj_sync_amfj::client::Page;
use amfj_sync_http::cursors::Cursors;

use super::Creatable;
use super::looking::PAGE;
use crate::context::IntegrationContext;
use crate::requests::{Idempotency, Requests, Trouble};

/// A walk of the list shows no more pages than this many times what is known, and some.
const PAGES_AT_MOST: (u64, u64) = (4, 100);

/// Where the pages of a list come from.
trait Pages: Send {
    type Row: Send;

    fn page(
        &mut self,
        cursor: Option<String>,
    ) -> impl Future<Output = Result<Page<Self::Row>, Trouble>> + Send;

    /// The list makes no sense. `Ok` when it may be begun anew.
    fn refused(&mut self, reason: &str) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// Each page is a request like any other: within the limit, and dropped with the partition.
struct Asked<'r, 'a, C> {
    context: &'r IntegrationContext,
    requests: &'r mut Requests<'a>,
    of: PhantomData<fn() -> C>,
}

impl<C: Creatable> Pages for Asked<'_, '_, C> {
    type Row = C::Record;

    async fn page(&mut self, cursor: Option<String>) -> Result<Page<C::Record>, Trouble> {
        let context = self.context;
        self.requests.send(Idempotency::Read, || C::page(context, cursor.clone())).await
    }

    async fn refused(&mut self, reason: &str) -> Result<(), Trouble> {
        self.requests.refused(reason).await
    }
}

/// Goes through the whole list, page by page, until `keep` says `false`. A list that goes round may have left rows out, so it
/// is begun again after a pause; rows that were kept come once more then.
pub(crate) async fn walk<C: Creatable>(
    context: &IntegrationContext,
    requests: &mut Requests<'_>,
    keep: &mut (dyn FnMut(C::Record) -> bool + Send),
) -> Result<(), Trouble> {
    let (_, known) = context.state.read(C::expected);
    let mut pages = Asked::<C> { context, requests, of: PhantomData };
    go_through(&mut pages, (C::WHAT, C::LIST), known, keep).await
}

async fn go_through<P: Pages>(
    pages: &mut P,
    (what, list): (&str, &'static str),
    known: u64,
    keep: &mut (dyn FnMut(P::Row) -> bool + Send),
) -> Result<(), Trouble> {
    let limit = known.div_ceil(PAGE) * PAGES_AT_MOST.0 + PAGES_AT_MOST.1;
    'walk: loop {
        let mut cursors = Cursors::new(list);
        for _ in 0..limit {
            let page = pages.page(cursors.current().map(str::to_owned)).await?;
            let fresh = page.results.len() as u64;
            for record in page.results {
                if !keep(record) {
                    return Ok(());
                }
            }
            match cursors.advance(page.next, page.rows, fresh) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    pages.refused(&error.to_string()).await?;
                    continue 'walk;
                }
            }
        }
        let reason = format!("AMFJ's list of {what}s has no end: {limit} pages, with {known} known");
        pages.refused(&reason).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list as it answers, page after page.
    struct Script {
        answers: Vec<(&'static [u32], Option<&'static str>)>,
        asked: Vec<Option<String>>,
        /// How often it may be begun anew.
        patience: usize,
    }

    impl Script {
        fn new(patience: usize, answers: &[(&'static [u32], Option<&'static str>)]) -> Self {
            Self { answers: answers.to_vec(), asked: Vec::new(), patience }
        }

        async fn rows(&mut self) -> (Vec<u32>, bool) {
            let mut rows = Vec::new();
            let keep = &mut |row| {
                rows.push(row);
                true
            };
            let is_over = go_through(self, ("asset", "list assets"), 0, keep).await.is_ok();
            (rows, is_over)
        }
    }

    impl Pages for Script {
        type Row = u32;

        async fn page(&mut self, cursor: Option<String>) -> Result<Page<u32>, Trouble> {
            self.asked.push(cursor);
            let (rows, next) = self.answers.remove(0);
            Ok(Page {
                results: rows.to_vec(),
                next: next.map(str::to_owned),
                rows: rows.len() as u64,
                lost: Vec::new(),
                odd: Vec::new(),
            })
        }

        async fn refused(&mut self, reason: &str) -> Result<(), Trouble> {
            let Some(patience) = self.patience.checked_sub(1) else {
                return Err(Trouble::Fail { reason: reason.to_owned(), field: None });
            };
            self.patience = patience;
            Ok(())
        }
    }

    /// The second page leads to itself, once: what is behind it was not seen.
    #[tokio::test]
    async fn a_list_that_goes_round_is_begun_anew_and_read_to_its_end() {
        let mut list = Script::new(
            1,
            &[(&[1], Some("b")), (&[2], Some("b")), (&[1], Some("b")), (&[2], Some("c")), (&[3], None)],
        );
        assert_eq!(list.rows().await, (vec![1, 2, 1, 2, 3], true));
        let cursors: Vec<_> = list.asked.iter().map(|cursor| cursor.as_deref().unwrap_or("")).collect();
        assert_eq!(cursors, ["", "b", "", "b", "c"]);
    }

    #[tokio::test]
    async fn a_list_that_goes_round_for_ever_ends_with_the_patience() {
        let round: (&'static [u32], _) = (&[1], Some("a"));
        let mut list = Script::new(2, &[round; 6]);
        assert!(!list.rows().await.1);
        assert!(list.answers.is_empty(), "{:?}", list.asked);
    }
}
