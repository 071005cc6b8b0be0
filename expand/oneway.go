package expand

// closedOff says what a pair without Backward closes off; "" where it has one.
func closedOff(p Any) string {
	switch {
	case p.Conversion().Backward != nil:
		return ""
	case p.Definition().HasBackward():
		return "one way in Go: up to Switch the wrappers cannot write the pair (ErrNoBackward), and while old is read they cannot filter by a new value"
	}
	return "one way: up to Switch the wrappers cannot write the pair (ErrNoBackward), while old is read they cannot filter by a new value, and from Contract there is no way back"
}
