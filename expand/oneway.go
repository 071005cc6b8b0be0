package expand

// closedOff says what a pair without Backward closes off; "" where it has one.
func closedOff(p Any) string {
	switch {
	case p.Conversion().Backward != nil:
		return ""
	case p.Definition().HasBackward():
		return "one way in Go: up to Switch only Pinned.ValueFromOld can write the pair (else ErrNoBackward), and while old is read the wrappers cannot filter by a new value"
	}
	return "one way: up to Switch only Pinned.ValueFromOld can write the pair (else ErrNoBackward), while old is read the wrappers cannot filter by a new value, and from Contract there is no way back"
}
