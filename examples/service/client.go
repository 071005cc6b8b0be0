package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// client writes the users of its lane, the ids of the start that have its remainder and those that it has created, and nobody else does. So
// it knows what each of them must be called, whichever backend and whichever release answers.
type client struct {
	*load
	lane, lanes int64
	names       map[int64]string // as last acknowledged, of the users that it has written
	created     []int64
}

// initialName is what a user is called that nobody has written.
func initialName(id int64) string { return fmt.Sprintf("user-%d", id) }

func (c *client) name(id int64) string {
	if name, ok := c.names[id]; ok {
		return name
	}
	return initialName(id)
}

// pick chooses a user of the lane, one of the first few or one that was created as often as any other.
func (c *client) pick() int64 {
	n := c.rows / c.lanes // the lane's ids are lanes, 2*lanes, ..., less its number
	switch k := rand.IntN(3); {
	case k == 0 && len(c.created) > 0:
		return c.created[rand.IntN(len(c.created))]
	case k == 1:
		n = min(n, 10)
	}
	return (1+rand.N(n))*c.lanes - c.lane
}

// turn writes a user and reads it back, by id or by name, and then another one.
func (c *client) turn(ctx context.Context, n int64) error {
	id, err := c.write(ctx, n)
	if err != nil {
		return err
	}
	if n%2 == 0 {
		err = c.find(ctx, id)
	} else {
		err = c.get(ctx, id)
	}
	if err != nil {
		return err
	}
	return c.get(ctx, c.pick())
}

// write creates a user every fifth time, else it renames one. No name is ever given twice.
func (c *client) write(ctx context.Context, n int64) (id int64, err error) {
	if n%5 == 0 {
		u := User{FullName: fmt.Sprintf("created-%d-%d", c.lane, n)}
		u.Email = u.FullName + "@example.com"
		if err := c.send(ctx, http.MethodPost, "/users", u, &u); err != nil {
			return 0, err
		}
		c.names[u.ID] = u.FullName
		c.created = append(c.created, u.ID)
		return u.ID, nil
	}
	id = c.pick()
	name := fmt.Sprintf("user-%d-%d", id, n)
	if err := c.send(ctx, http.MethodPut, fmt.Sprintf("/users/%d/name", id), name, nil); err != nil {
		return 0, err
	}
	c.names[id] = name
	return id, nil
}

func (c *client) get(ctx context.Context, id int64) error {
	var u User
	err := c.send(ctx, http.MethodGet, fmt.Sprintf("/users/%d", id), nil, &u)
	if err == nil && (u.ID != id || u.FullName != c.name(id)) {
		err = fmt.Errorf("get user %d: %+v, acknowledged was %q", id, u, c.name(id))
	}
	return err
}

func (c *client) find(ctx context.Context, id int64) error {
	var found []User
	err := c.send(ctx, http.MethodGet, "/users?name="+url.QueryEscape(c.name(id)), nil, &found)
	if err == nil && !slices.EqualFunc(found, []int64{id}, func(u User, id int64) bool { return u.ID == id && u.FullName == c.name(id) }) {
		err = fmt.Errorf("find user %d by its name %q: %+v", id, c.name(id), found)
	}
	return err
}

// send makes one request, once, and measures it. Every answer but a 2xx is an error.
func (c *client) send(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	step := c.step
	c.mu.Unlock()
	began := time.Now()
	status, text, err := c.do(r)
	c.note(step, time.Since(began))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", step, err)
	case status/100 != 2:
		return fmt.Errorf("%s: %s %s: %d %s", step, method, path, status, bytes.TrimSpace(text))
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

func (c *client) do(r *http.Request) (status int, text []byte, err error) {
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err = io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}
