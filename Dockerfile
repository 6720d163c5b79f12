# A static binary in an empty image. Build: docker build -t vecino .
# Run: docker run -v vecino-data:/data --network host vecino
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/vecino ./cmd/vecino \
 && mkdir -p /out/data /out/tmp && chmod 1777 /out/tmp

FROM scratch
COPY --from=build /out/vecino /vecino
COPY --from=build /src/LICENSE /src/NOTICE /
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/tmp /tmp
USER 65532:65532
VOLUME /data
# The server listens on loopback addresses only, so it is reached over the
# host's network, or by a proxy that shares its network namespace.
EXPOSE 7747
STOPSIGNAL SIGTERM
ENTRYPOINT ["/vecino"]
CMD ["serve", "--data", "/data"]
