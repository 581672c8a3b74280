package sysemu_test

import (
	"fmt"
	"log"
	"time"

	"github.com/sysemu/sysemu"
)

// A day's sleep takes no time by a virtual clock.
func ExampleClock() {
	start := time.Date(2038, 1, 18, 3, 14, 7, 0, time.UTC)
	m, err := sysemu.New(sysemu.WithClock(sysemu.VirtualClock(start)))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("sh", "-c", "date -u +%F; sleep 86400; date -u '+%F %T'").Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", out)
	// Output:
	// 2038-01-18
	// 2038-01-19 03:14:07
}

// The clock stands still until the test moves it.
func ExampleMachine_AdvanceClock() {
	m, err := sysemu.New(sysemu.WithClock(sysemu.FrozenClock(time.Unix(1e9, 0))))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := m.AdvanceClock(90 * time.Second); err != nil {
		log.Fatal(err)
	}
	out, err := m.Command("date", "+%s").Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", out)
	// Output: 1000000090
}

// The same seed, the same random bytes.
func ExampleWithSeed() {
	for range 2 {
		m, err := sysemu.New(sysemu.WithSeed(42))
		if err != nil {
			log.Fatal(err)
		}
		out, err := m.Command("od", "-An", "-tx8", "-N8", "/dev/urandom").Output()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s", out)
		m.Close()
	}
	// Output:
	//  983e8cab7e54361f
	//  983e8cab7e54361f
}
