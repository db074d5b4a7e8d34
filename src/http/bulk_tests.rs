//! Tests of the line splitter and of bulk intake over real sockets.

use super::*;

fn lines(pieces: &[&'static str], limit: usize) -> Lines {
    let pieces: Vec<_> = pieces.iter().map(|p| Ok::<_, std::io::Error>(Bytes::from_static(p.as_bytes()))).collect();
    Lines::new(Body::from_stream(futures_util::stream::iter(pieces)), limit, Duration::from_secs(1))
}

async fn all(mut lines: Lines) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    loop {
        let line = lines.next().await;
        let text = match line {
            Line::End => return seen,
            Line::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => format!("{other:?}"),
        };
        seen.push((lines.number, text));
    }
}

#[tokio::test]
async fn lines_are_split_wherever_the_pieces_end() {
    let seen = all(lines(&["{1", "}\n{2}\r\n", "\n  \n{3}", "\n{4", "}"], 100)).await;
    let seen: Vec<_> = seen.iter().map(|(n, t)| (*n, t.as_str())).collect();
    assert_eq!(seen, [(1, "{1}"), (2, "{2}"), (3, "Blank"), (4, "Blank"), (5, "{3}"), (6, "{4}")]);
}

#[tokio::test]
async fn a_long_line_is_skipped_to_its_end_without_being_kept() {
    let mut long = lines(&["0123456789", "0123456789", "0123456789\n{2}\n", "0123456789", "01"], 10);
    assert_eq!(long.next().await, Line::TooLong);
    assert!(long.buffer.capacity() < 100);
    assert_eq!(long.next().await, Line::Text(Bytes::from_static(b"{2}")));
    assert_eq!((long.next().await, long.number), (Line::TooLong, 3));
    assert_eq!(long.next().await, Line::End);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_arriving_times_out() {
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{1}\n{2"))])
        .chain(futures_util::stream::pending());
    let mut lines = Lines::new(Body::from_stream(pieces), 100, Duration::from_secs(30));
    assert_eq!(lines.next().await, Line::Text(Bytes::from_static(b"{1}")));
    assert_eq!(lines.next().await, Line::TimedOut);
    assert_eq!(lines.next().await, Line::End);
}

#[tokio::test]
async fn a_line_that_breaks_off_with_its_connection_is_nobodys() {
    let pieces = futures_util::stream::iter([
        Ok(Bytes::from_static(b"{1}\n{\"whole\":1}")),
        Err(std::io::Error::other("connection reset")),
    ]);
    let lines = Lines::new(Body::from_stream(pieces), 100, Duration::from_secs(30));
    assert_eq!(all(lines).await, [(1, "{1}".to_owned())]);
}
