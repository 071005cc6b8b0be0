package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

const (
	defaultImage = "postgres:17"
	serverPort   = "5432/tcp"

	// pingTime is for an engine that is there but hangs; a missing one fails at once.
	pingTime = 3 * time.Second
	// containerTime is for the first start of an image on a loaded CI machine.
	containerTime = 90 * time.Second
	// expireSeconds ends the container of a process that was killed. No test
	// run takes as long.
	expireSeconds = 3600
)

// startDocker starts a container.
func startDocker(ctx context.Context, opts Options) (*Server, error) {
	image := os.Getenv("TANDEM_IMAGE")
	if image == "" {
		image = defaultImage
	}
	pool, err := engine(ctx)
	if err != nil {
		return nil, err
	}
	c := &container{pool: pool, image: image, password: rand.Text()}
	if err := c.pull(ctx, opts); err != nil {
		return nil, fmt.Errorf("docker: image %s: %w (pull it, or name another in TANDEM_IMAGE)", image, err)
	}
	ctx, cancel := context.WithTimeout(ctx, containerTime)
	defer cancel()
	if err := c.run(ctx, opts.Settings); err != nil {
		return nil, fmt.Errorf("docker %s: %w", image, err)
	}
	return &Server{description: "docker " + image, dsn: c.dsn(), stop: c.remove}, nil
}

// engine returns a pool of a Docker engine that answers.
func engine(ctx context.Context) (*dockertest.Pool, error) {
	pool, err := dockertest.NewPool("")
	if err != nil {
		return nil, fmt.Errorf("docker: %w (correct DOCKER_HOST)", err)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	if err := pool.Client.PingWithContext(ctx); err != nil {
		return nil, fmt.Errorf("docker: no engine answers at %s: %w (start it, or set DOCKER_HOST)", pool.Client.Endpoint(), err)
	}
	return pool, nil
}

// container is a server in Docker.
type container struct {
	pool     *dockertest.Pool
	image    string
	password string
	resource *dockertest.Resource
	log      tail
}

// name splits the image into repository and tag. A colon before the last
// slash belongs to the port of a registry.
func (c *container) name() (repository, tag string) {
	if i := strings.LastIndex(c.image, ":"); i > strings.LastIndex(c.image, "/") {
		return c.image[:i], c.image[i+1:]
	}
	return c.image, "latest"
}

// pull fetches the image unless it is there. dockertest would do so too, but
// its pull does not end with a context.
func (c *container) pull(ctx context.Context, opts Options) error {
	if strings.Contains(c.image, "@") {
		return errors.New("an image by digest is not supported, name a tag")
	}
	repository, tag := c.name()
	if _, err := c.pool.Client.InspectImage(repository + ":" + tag); err == nil {
		return nil
	}
	_, _ = fmt.Fprintf(opts.Log, "server: docker pull %s:%s\n", repository, tag)
	pull := docker.PullImageOptions{Repository: repository, Tag: tag, Context: ctx}
	return c.pool.Client.PullImage(pull, docker.AuthConfiguration{})
}

// run starts the container and waits for the server in it.
func (c *container) run(ctx context.Context, more map[string]string) error {
	repository, tag := c.name()
	name := "tandem-" + strings.ToLower(rand.Text()[:12])
	resource, err := c.pool.RunWithOptions(&dockertest.RunOptions{
		Name:       name,
		Repository: repository,
		Tag:        tag,
		Cmd:        append([]string{"postgres"}, arguments(map[string]string{"listen_addresses": "*"}, more)...),
		Env: []string{
			"POSTGRES_PASSWORD=" + c.password,
			"POSTGRES_INITDB_ARGS=--no-sync --encoding=UTF8 --locale=C",
			"PGDATA=/tandem/data", // outside the volume that the image declares: see host
		},
		ExposedPorts: []string{serverPort},
		PortBindings: map[docker.Port][]docker.PortBinding{serverPort: {{HostIP: bindIP(), HostPort: "0"}}},
	}, host)
	if err != nil {
		// What was created and could not be started would stay.
		return errors.Join(err, c.pool.RemoveContainerByName(name))
	}
	c.resource = resource
	if err := resource.Expire(expireSeconds); err != nil {
		return errors.Join(err, c.remove())
	}
	if err := ready(ctx, c.dsn(), c.follow()); err != nil {
		return errors.Join(fmt.Errorf("%w\n%s", err, c.log.String()), c.remove())
	}
	return nil
}

// host puts the data into memory: the engine's own file layer is slow.
func host(h *docker.HostConfig) {
	h.AutoRemove = true
	h.PublishAllPorts = false
	h.Tmpfs = map[string]string{"/tandem": "rw"}
	h.ShmSize = 256 << 20 // parallel queries need more than Docker's 64 MB
}

// follow collects the container's output. The channel is closed when the
// container ends.
func (c *container) follow() <-chan struct{} {
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = c.pool.Client.Logs(docker.LogsOptions{
			Container:    c.resource.Container.ID,
			OutputStream: &c.log,
			ErrorStream:  &c.log,
			Stdout:       true,
			Stderr:       true,
			Follow:       true,
		})
	}()
	return exited
}

// dsn names the published port.
func (c *container) dsn() string {
	return fmt.Sprintf("host=%s port=%s user=postgres password=%s dbname=postgres sslmode=disable",
		engineHost(), c.resource.GetPort(serverPort), c.password)
}

// remove ends the container. It is no error if the container has ended by
// itself, or is just being removed.
func (c *container) remove() error {
	err := c.pool.Purge(c.resource)
	var missing *docker.NoSuchContainer
	if errors.As(err, &missing) || err != nil && strings.Contains(err.Error(), "already in progress") {
		return nil
	}
	return err
}

// engineHost is the host at which the engine publishes ports.
func engineHost() string {
	u, err := url.Parse(os.Getenv("DOCKER_HOST"))
	if err != nil || u.Scheme != "tcp" || u.Hostname() == "" {
		return "127.0.0.1"
	}
	return u.Hostname()
}

// bindIP keeps the port on this machine unless the engine is on another.
func bindIP() string {
	h := engineHost()
	if ip := net.ParseIP(h); h == "localhost" || ip != nil && ip.IsLoopback() {
		return "127.0.0.1"
	}
	return "0.0.0.0"
}
