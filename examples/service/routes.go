package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// routes are the API, the same in every release, and /ready, by which a balancer learns whether to send requests here.
func routes(users store, ready func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /users", func(w http.ResponseWriter, r *http.Request) {
		var u User
		if !decode(w, r, &u) {
			return
		}
		u.ID = 0
		err := users.create(r.Context(), &u)
		answer(w, http.StatusCreated, u, err)
	})
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, ok := key(w, r)
		if !ok {
			return
		}
		u, err := users.get(r.Context(), id)
		answer(w, http.StatusOK, u, err)
	})
	mux.HandleFunc("PUT /users/{id}/name", func(w http.ResponseWriter, r *http.Request) {
		id, ok := key(w, r)
		var name string
		if !ok || !decode(w, r, &name) {
			return
		}
		answer(w, http.StatusOK, name, users.rename(r.Context(), User{ID: id, FullName: name}))
	})
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		found, err := users.named(r.Context(), r.FormValue("name"))
		answer(w, http.StatusOK, found, err)
	})
	return mux
}

func key(w http.ResponseWriter, r *http.Request) (id int64, ok bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return id, err == nil
}

func decode(w http.ResponseWriter, r *http.Request, into any) (ok bool) {
	err := json.NewDecoder(r.Body).Decode(into)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

func answer(w http.ResponseWriter, status int, body any, err error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "no such user", http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // a client that has gone needs no answer
	}
}
