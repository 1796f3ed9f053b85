//! Temporary.
mod peer;
use peer::{Place, pair};
use sharesock::*;
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn smoke() {
    let place = Place::new("ev-smoke");
    let domain = place.domain();
    let (mut client, socket) = pair();
    let event = Event::manual(&domain).unwrap();
    socket.event_select(&event, NetworkEvents::READ | NetworkEvents::WRITE | NetworkEvents::CLOSE).unwrap();
    assert!(event.wait(Some(Duration::ZERO)).unwrap());
    assert_eq!(socket.enum_network_events(Some(&event)).unwrap().events(), NetworkEvents::WRITE);
    assert!(!event.wait(Some(Duration::ZERO)).unwrap());
    client.write_all(b"hello").unwrap();
    assert!(event.wait(None).unwrap());
    assert_eq!(socket.enum_network_events(Some(&event)).unwrap().events(), NetworkEvents::READ);
    assert!(!event.is_set().unwrap());
    let mut two = [0; 2];
    (&socket).read_exact(&mut two).unwrap();
    assert!(event.is_set().unwrap());
    assert_eq!(socket.enum_network_events(Some(&event)).unwrap().events(), NetworkEvents::READ);
    assert_eq!(socket.recv(&mut [0; 9]).unwrap(), 3);
    assert!(!event.is_set().unwrap());
    println!("{:?}", socket.registration().unwrap());
    drop(client);
    assert!(event.wait(None).unwrap());
    assert_eq!(socket.enum_network_events(Some(&event)).unwrap().events(), NetworkEvents::CLOSE);
    drop(socket);
}
