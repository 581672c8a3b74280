package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sysemu/sysemu"
)

// timeFlags say what time it is in the machine.
type timeFlags struct {
	Clock *clockFlag `placeholder:"CLOCK" help:"The machine's clock: host (the default), frozen or frozen=TIME, scaled=FACTOR, offset=DURATION such as -36h, virtual or virtual=TIME (sleeps take no time; with --cpus 1, its default, runs can be repeated exactly). TIME is a date, 2006-01-02T15:04:05Z, or seconds since 1970."`
	Seed  *uint64    `placeholder:"N" help:"Make all that is random in the machine from N."`
}

// options are the machine's options of the flags.
func (f *timeFlags) options() (opts []sysemu.Option) {
	if f.Clock != nil {
		opts = append(opts, sysemu.WithClock(f.Clock.clock))
	}
	if f.Seed != nil {
		opts = append(opts, sysemu.WithSeed(*f.Seed))
	}
	return opts
}

// clockFlag is --clock.
type clockFlag struct{ clock sysemu.Clock }

func (c *clockFlag) UnmarshalText(text []byte) error {
	kind, value, given := strings.Cut(string(text), "=")
	switch {
	case kind == "host" && !given:
		c.clock = sysemu.HostClock()
	case kind == "frozen":
		t, err := parseTime(value, given)
		if err != nil {
			return err
		}
		c.clock = sysemu.FrozenClock(t)
	case kind == "virtual":
		t, err := parseTime(value, given)
		if err != nil {
			return err
		}
		c.clock = sysemu.VirtualClock(t)
	case kind == "scaled" && given:
		f, err := strconv.ParseFloat(value, 64)
		if err != nil || !(f >= 1e-6 && f <= 1e6) {
			return fmt.Errorf("%q is not a factor between 1e-6 and 1e6", value)
		}
		c.clock = sysemu.ScaledClock(f)
	case kind == "offset" && given:
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 36h or -90m", value)
		}
		c.clock = sysemu.OffsetClock(d)
	default:
		return fmt.Errorf("%q is not host, frozen[=TIME], scaled=FACTOR, offset=DURATION or virtual[=TIME]", text)
	}
	return nil
}

// parseTime reads a time of day; without one it is the zero Time.
func parseTime(s string, given bool) (time.Time, error) {
	if !given {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if sec, err := strconv.ParseInt(strings.TrimPrefix(s, "@"), 10, 34); err == nil {
		return time.Unix(sec, 0), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2006-01-02T15:04:05Z", s)
}
