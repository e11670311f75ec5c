"""Every setting in one table: type, limits, default and description.

A new setting: add it here, under its section `# --- title` (tools/settings_table.py reads these comments). A rule
between two settings goes to validation.py. Then run `make docs`, and add a line to CHANGELOG.md.
"""

# No `from __future__ import annotations`: pydantic would have to evaluate each annotation again, at every start.
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from mezcal.settings.rules import HEX_COLOR
from mezcal.settings.types import (
    DEFAULT_MAX_PIXELS,
    LOWER,
    UPPER,
    AuthType,
    Bytes,
    CommandLine,
    DigestPattern,
    DownstreamUrls,
    FilterSets,
    HostNames,
    JsonObject,
    Layout,
    Logins,
    MemoryBytes,
    NamedSizes,
    Names,
    Networks,
    NoticeUrl,
    OptionalSeconds,
    QueueUrls,
    Repository,
    Seconds,
    Secrets,
    SigningKey,
    SigningKeys,
    WebAddress,
)


class SettingFields(BaseSettings):
    """The fields of `Settings`, which adds the rules between settings. docs/configuration.md is generated from them."""

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        frozen=True,
        case_sensitive=False,
        env_ignore_empty=True,
        defer_build=True,  # the validator of a hundred fields takes long to build: only `Settings` needs it
    )

    # --- the origin
    repo_base_url: Repository = Field(
        None,
        description="URL of the masters: `http(s)://host/path`, with or without a final slash, "
        "`s3://bucket/prefix` or `file:///folder`. If it and ORIGINS_FILE are unset, `mezcal up` serves its built-in "
        "samples.",
    )
    origins_file: Path | None = Field(
        None,
        description="File (TOML) with further origins, each for the paths that begin with its prefix. See "
        "docs/origins.md. If unset, REPO_BASE_URL is the only one.",
    )
    repo_internal_url: WebAddress = Field(
        None,
        description="URL at which mezcal itself reaches the repository, if it is not REPO_BASE_URL. The repository "
        "gets the host and scheme of REPO_BASE_URL as `X-Forwarded-Host` and `X-Forwarded-Proto`. For a bucket: the "
        "address of an S3 server that is not AWS.",
    )
    auth_type: Annotated[AuthType, UPPER] = Field(
        AuthType.NONE,
        description="How mezcal authenticates to the repository. If unset, the first credential that is set "
        "decides: JWT_SECRET, JWT_TOKEN, REPO_USERNAME with REPO_PASSWORD.",
    )
    jwt_token: SecretStr | None = Field(None, description="Bearer token for the repository (AUTH_TYPE=JWT_TOKEN).")
    jwt_secret: SecretStr | None = Field(
        None, description="Key with which mezcal signs its own HS256 tokens (AUTH_TYPE=JWT_SECRET)."
    )
    repo_username: str | None = Field(
        None,
        description="User name for AUTH_TYPE=BASIC. For a bucket: its access key; if unset, AWS_ACCESS_KEY_ID, or what "
        "every AWS client finds.",
    )
    repo_password: SecretStr | None = Field(
        None, description="Password for AUTH_TYPE=BASIC, or the secret of the bucket's access key."
    )
    repo_region: str | None = Field(
        None, description="Region of the bucket in REPO_BASE_URL. If unset, AWS_DEFAULT_REGION, or `us-east-1`."
    )
    repo_requester_pays: bool = Field(
        False, description="Pay for requests to a bucket whose owner has set that the requester pays."
    )
    origin_connect_timeout: float = Field(5, gt=0, description="Seconds to connect to the repository.")
    origin_read_timeout: float = Field(
        30, gt=0, description="Seconds without a byte after which a download is given up."
    )
    origin_total_timeout: float = Field(600, gt=0, description="Seconds that the download of one master may take.")
    origin_max_bytes: int = Field(
        20 * 2**30, gt=0, description="Largest master in bytes; a larger one is refused with 413."
    )
    origin_retries: int = Field(
        2, ge=0, le=10, description="How often a failed request is repeated before the job fails."
    )
    origin_redirect_hosts: Names = Field(
        (), description="Other hosts that the repository may redirect to, comma-separated."
    )
    origin_denied_status: Literal[502, 403] = Field(
        502, description="Status that a client gets if the repository answers 401 or 403."
    )

    origin_digests: Annotated[Literal["ask", "accept", "off"], LOWER] = Field(
        "ask",
        description="Digests with which masters are compared while they arrive: `ask` the repository for them, "
        "`accept` those that it sends by itself, or `off`.",
    )
    origin_digest_file: DigestPattern = Field(
        None,
        description="Path of the file that has the digest of a master, as `{path}.sha256`, in the repository or the "
        "folder. It ends with .sha512, .sha256, .sha1 or .md5.",
    )

    denied_status: Literal[451, 404] = Field(
        451,
        description="Status that a client gets for an image that was denied (`mezcal deny`). 404 looks as if the "
        "repository had no such master.",
    )

    # --- the store
    storage: Annotated[Literal["local", "s3"], LOWER] = Field(
        "local",
        description="Where images are stored: in a folder or in a bucket. If unset: `s3` if AWS_BUCKET is set, "
        "else `local`.",
    )
    data_dir: Path = Field(
        Path("mezcal-data"),
        description="Folder of `mezcal up`: the state of its broker, and the cache if STORAGE_DIR is unset.",
    )
    storage_dir: Path | None = Field(
        None, description="Folder of the cache. If unset, one for each origin in DATA_DIR."
    )
    storage_layout: Annotated[Layout, LOWER] = Field(
        Layout.BASIC,
        description="Folders of the cache: `basic` (the repository's paths), `md5_encoded` or `md5_encoded_pairtree`.",
    )
    tmp_dir: Path | None = Field(
        None,
        description="Folder for masters during their download. If unset, a folder in the cache. The files have "
        "no name and vanish with their process.",
    )

    aws_bucket: str | None = Field(None, description="Bucket of the cache.")
    aws_prefix: str = Field("", description="Text that begins the names of all objects of mezcal in the bucket.")
    storage_url: WebAddress = Field(
        None, description="Object store that speaks S3, as `https://host:port`. If unset, AWS in AWS_DEFAULT_REGION."
    )
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        "auto",
        description="Form of the URLs: `path` is `host/bucket`, `virtual` is `bucket.host`; `auto` is `virtual` "
        "on AWS and `path` elsewhere.",
    )
    s3_serve: Annotated[Literal["proxy", "redirect"], LOWER] = Field(
        "proxy",
        description="`proxy` sends images through the API; `redirect` sends clients to the object store by "
        "signed URLs.",
    )
    s3_url_seconds: int = Field(
        3600, ge=1, le=604_800, description="Seconds for which a signed URL is valid at least (S3_SERVE=redirect)."
    )
    s3_public_url: WebAddress = Field(
        None, description="URL at which clients reach the object store, for signed URLs. If unset, STORAGE_URL."
    )
    aws_access_key_id: str | None = Field(
        None, description="Access key. If unset, found as by every AWS client: shared files, web identity, roles."
    )
    aws_secret_access_key: SecretStr | None = Field(None, description="Secret of the access key.")
    aws_session_token: SecretStr | None = Field(None, description="Session token of temporary credentials.")
    aws_default_region: str | None = Field(
        None,
        description="Region of the bucket. If unset, `us-east-1`, or `us-west-2` if there is an ARCHIVE_API_URL.",
    )
    aws_ca_bundle: Path | None = Field(
        None, description="File of CA certificates that the object store's certificate is checked against."
    )
    cache_max_bytes: Bytes = Field(
        0,
        ge=0,
        description="Largest size of the cache, in bytes or as `500GB` or `20GiB`. Beyond it, the least recently"
        " used images are evicted. 0 means no limit.",
    )
    cache_min_free_bytes: Bytes = Field(
        0, ge=0, description="Free space to keep on the disk of the cache, in bytes or as `20GiB`. 0 means no limit."
    )
    cache_max_age: Seconds = Field(
        0, ge=0, description="Seconds, or a time as `90d`, after which an unused image is evicted. 0 means never."
    )
    cache_use_log: Path | None = Field(
        None,
        description="File in which nginx logs the images it serves, so that workers know their last use. Needed "
        "if the cache is mounted `noatime`. `mezcal up` sets it if it starts nginx.",
    )
    pin_seconds: float = Field(
        60,
        ge=0,
        description="Seconds that an evicted image can still be served, so that a GET succeeds shortly after its HEAD.",
    )
    revalidate_after: OptionalSeconds = Field(
        None,
        ge=0,
        description="Seconds, or a time as `1d`, after which mezcal asks the repository if the master of a cached "
        "image has changed. 0 means never. If unset or `auto`: never over HTTP; for a folder 30 seconds if the image "
        "is requested, else 20 hours.",
    )
    revalidate_per_minute: int = Field(
        60, ge=1, description="How many cached images that no client asks for are revalidated in a minute."
    )

    # --- the picture
    mezzanine_quality: int = Field(90, ge=1, le=100, description="JPEG quality.")
    mezzanine_subsampling: Literal["4:4:4", "4:2:0"] = Field(
        "4:4:4",
        description="Chroma subsampling. Quality 90 with 4:4:4 looks better and is smaller than 95 with 4:2:0.",
    )
    mezzanine_progressive: bool = Field(
        False,
        description="Make progressive JPEGs: 1-6 % smaller, 3-6 times the time, and the whole image in memory.",
    )
    mezzanine_max_edge: int = Field(
        0, ge=0, le=65_500, description="Longest side in pixels. 0 means the size of the master."
    )
    color: Annotated[Literal["srgb", "keep"], LOWER] = Field(
        "srgb", description="`srgb` converts colours by the master's ICC profile; `keep` embeds the profile instead."
    )
    background: str = Field(
        "#ffffff",
        pattern=HEX_COLOR,
        description="Colour behind transparent masters, as `#rrggbb`.",
    )
    keep_metadata: bool = Field(
        False, description="Copy EXIF, XMP and IPTC from the master, except orientation and embedded thumbnail."
    )
    oversize: Annotated[Literal["scale", "refuse"], LOWER] = Field(
        "scale",
        description="Masters with more than 65,500 pixels a side (the limit of JPEG), and JPEG 2000 masters too "
        "large for memory: `scale` makes them smaller, `refuse` answers 413.",
    )
    profiles_file: Path | None = Field(
        None,
        description="File (TOML) with further kinds of derivatives: size, format, quality. If unset, there are "
        "`mezzanine` and `pyramid`.",
    )
    max_image_pixels: int = Field(
        0,
        description=f"Largest master in pixels. 0 means {DEFAULT_MAX_PIXELS:,}; a negative number means no limit, "
        "for trusted repositories only.",
    )

    # --- the science archive
    archive_api_url: WebAddress = Field(
        None, description="API of the science archive whose frames get thumbnails. If unset, there are no thumbnails."
    )
    archive_token: SecretStr | None = Field(
        None, description="`Authorization` header for thumbnails that no client has asked for, as `Token 0123..`."
    )
    archive_file_hosts: Names = Field(
        (),
        description="Hosts that frames are downloaded from, comma-separated, each as `host` or `host:port`. If "
        "unset, workers download from any host that the archive names, including hosts of your own "
        "network.",
    )
    frames_kept_bytes: Bytes = Field(
        512 * 2**20,
        ge=0,
        description="Space in TMP_DIR, for each worker, where whole files of frames stay for five minutes, so that "
        "other thumbnails and cutouts of them need no download; in bytes or as `2GiB`. 0 keeps none.",
    )
    archive_bucket: str | None = Field(
        None,
        description="Bucket of the science archive. If set, thumbnails of THUMBNAIL_SIZES are put there and registered "
        "with the archive, with ARCHIVE_TOKEN.",
    )
    archive_thumbnail_name: str = Field(
        "{site_id}/{instrument_id}/{observation_day}/thumbnails/{basename}-{size}.jpg",
        description="Names of objects in ARCHIVE_BUCKET: fields of the archive's record of the frame, and `size`.",
    )
    archive_thumbnail_record: JsonObject = Field(
        "{}",
        description="JSON object whose members are added to what is sent to the archive, or replace it; "
        "`null` leaves one out. Texts may have placeholders, as the name.",
    )
    thumbnail_look: Annotated[Literal["lco", "robust"], LOWER] = Field(
        "robust",
        description="How thumbnails are drawn if the request has no `look`: `lco` draws as thumbnail-service did.",
    )
    thumbnail_max_edge: int = Field(
        4096, ge=1, le=20_000, description="Longest side in pixels that a request may ask for."
    )
    thumbnail_filters: FilterSets = Field(
        "R,rp/V/B",
        description="Filters for red/visual/blue, as `R,rp/V/B`. With several sets, as `R,rp/V/B;ip/rp/gp`, the "
        "first set of which a request has all filters is used.",
    )
    thumbnail_sizes: NamedSizes = Field(
        "small:200,medium:600,large:1200",
        description="Names and pixels of the sizes that `mezcal warm --frames` makes.",
    )
    required_frame_validation_keys: Names = Field(
        ("configuration_type", "request_id", "filename"),
        description="Keys that the archive's record of a frame must have; otherwise the answer is 400.",
    )
    valid_configuration_types: Names = Field(
        (
            *("ARC", "BIAS", "BPM", "DARK", "DOUBLE", "EXPERIMENTAL", "EXPOSE", "GUIDE", "LAMPFLAT"),
            *("SKYFLAT", "SPECTRUM", "STANDARD", "TARGET", "TRAILED"),
        ),
        description="Configuration types that get thumbnails.",
    )
    valid_configuration_types_for_color_thumbs: Names = Field(
        ("EXPOSE", "STANDARD"), description="Configuration types that get colour thumbnails."
    )
    url_secret: SecretStr | None = Field(
        None,
        description="Key that signs the URLs of thumbnails. If unset, one is created in DATA_DIR. All API hosts "
        "of an installation need the same key.",
    )
    public_url: WebAddress = Field(
        None,
        description="Beginning of the URLs of thumbnails, as `https://host`. If unset, taken from the request if its "
        "`Host` is allowed by name (ALLOWED_HOSTS) or is of this machine; else the URLs are relative.",
    )

    # --- the queue
    redis_url: SecretStr | None = Field(
        None,
        description="Broker and job table: `redis://`, `rediss://` (TLS), `redis+socket://`, or sentinels that "
        "know their address, `sentinel://host1;host2/0`. If unset, `mezcal up` starts its own "
        "broker.",
    )
    redis_password: SecretStr | None = Field(None, description="Password of Redis, if REDIS_URL has none.")
    redis_master: str = Field(
        "mymaster", description="Name of the Redis primary in the configuration of the sentinels."
    )
    redis_sentinel_password: SecretStr | None = Field(None, description="Password of the sentinels.")
    redis_tls_ca: Path | None = Field(
        None,
        description="File of CA certificates that Redis' certificate is checked against. If unset, those of the "
        "system. With `sentinel://` it also turns on TLS.",
    )
    redis_tls_cert: Path | None = Field(None, description="Client certificate for Redis.")
    redis_tls_key: Path | None = Field(None, description="Key of the client certificate.")
    key_prefix: str = Field(
        "mezcal:",
        pattern=r"^[\w.:-]{1,64}$",
        description="Text that begins every Redis key. It lets two installations share one server.",
    )
    wait_seconds: float = Field(
        25,
        ge=0,
        le=300,
        description="Seconds that a miss waits before it is answered 503. IIIF servers give up after 30.",
    )
    waiters_max: int = Field(
        512,
        ge=1,
        le=1000,
        description="How many requests may wait for jobs at once in one API process; further ones are answered 503.",
    )
    client_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Share of WAITERS_MAX that one client (an address, a /64 network of IPv6, or one of READ_TOKENS) "
        "may use, for waiting requests and for queued jobs; further ones are answered 429. 1 leaves none to others.",
    )
    client_share_exempt: Networks = Field(
        (ip_network("127.0.0.0/8"), ip_network("::1")),
        description="Addresses or networks, comma-separated, without CLIENT_SHARE: IIIF servers, each of which is one "
        "address for all its readers, and campuses behind one address. `none` exempts no client.",
    )
    lease_seconds: float = Field(
        6, ge=1, le=60, description="Seconds after which a running job that was not renewed is given to another worker."
    )
    max_attempts: int = Field(
        3, ge=1, le=20, description="Attempts after which a job is quarantined, if each ended its worker."
    )
    job_time_limit: int = Field(900, ge=5, description="Seconds that one attempt may take before it is stopped.")
    job_time_grace: int = Field(
        15, ge=1, description="Seconds after JOB_TIME_LIMIT before the process of a job that did not stop is killed."
    )
    retry_seconds: float = Field(
        30,
        gt=0,
        description="Seconds until the second attempt of a bulk job whose failure may pass; doubled each time.",
    )
    origin_concurrency: int = Field(
        0, ge=0, description="How many jobs of all workers may read from the repository at once. 0 means no limit."
    )
    breaker_failures: int = Field(
        5,
        ge=1,
        description="Jobs in a row for which the repository may be down or too slow before requests to it are paused.",
    )
    breaker_seconds: float = Field(
        15,
        gt=0,
        le=120,
        description="Seconds of the first pause of a failing repository; twice as long each time, up to 30 s or this.",
    )
    interactive_reserve: int = Field(
        1, ge=0, description="Pool processes of a worker that take no bulk jobs, if it has two or more."
    )
    worker_memory: MemoryBytes = Field(
        0,
        ge=0,
        description="Bytes that the conversions of one worker may use together, as `1500m` or `2g`. `auto` (0): "
        "the memory of its container or machine, less what its idle processes use.",
    )
    queue_max: int = Field(
        2_000_000, ge=1, description="How many jobs may be queued in one lane; further ones are answered 503."
    )
    drain_seconds: float = Field(
        30,
        ge=0,
        description="Seconds that a stopping process may take to finish running work; a worker gets at least two.",
    )
    failure_brief_seconds: int = Field(
        10,
        ge=0,
        description="Seconds for which a master's failure is remembered when the origin was unreachable or refused it.",
    )
    failure_missing_seconds: int = Field(
        120,
        ge=0,
        description="Seconds for which it is remembered that a master is missing, or that the repository's response "
        "brings none.",
    )
    failure_lasting_seconds: int = Field(
        30 * 86_400,
        ge=0,
        description="Seconds for which it is remembered that a master cannot be decoded. A retry, a DELETE or an "
        "event ends it sooner.",
    )

    # --- the API
    api_tokens: Secrets = Field(
        (),
        description="Bearer tokens, comma-separated, for requests that change state. If unset, such requests are"
        " refused.",
    )
    read_tokens: Secrets = Field(
        (),
        description="Bearer tokens, comma-separated, for reading images, jobs and the home page. If unset, "
        "reading is open. Thumbnails need none of them: the archive decides who may see a frame.",
    )
    api_processes: int = Field(1, ge=1, le=64, description="API processes of `mezcal up`. An idle one takes 60 MB.")
    http_max_age: int = Field(
        3600,
        ge=0,
        description="Seconds that browsers and proxies may use an image without asking again (`Cache-Control: "
        "max-age`).",
    )
    http_stale_while_revalidate: int = Field(
        3600, ge=0, description="Further seconds in which a proxy may serve its copy while it asks again."
    )
    http_stale_if_error: int = Field(
        604_800,
        ge=0,
        description="Further seconds in which a proxy may serve its copy while mezcal answers with errors.",
    )
    sendfile_header: Literal["X-Accel-Redirect", "X-Sendfile"] | None = Field(
        None,
        description="Let the server in front of mezcal send the files: `X-Accel-Redirect` for nginx, "
        "`X-Sendfile` for Apache and lighttpd. If unset, the API sends them.",
    )
    sendfile_prefix: str = Field(
        "/.stored/",
        pattern=r"^/[\w./-]*/$",
        description="Internal location of nginx that serves the cache (SENDFILE_HEADER=X-Accel-Redirect).",
    )
    loopback_trusted: bool = Field(
        False,
        description="Let clients on this machine change state without a token while API_TOKENS is unset. `mezcal"
        " up` turns it on if it listens on loopback only.",
    )
    allowed_hosts: HostNames = Field(
        (),
        description="Names, comma-separated, that clients may send as `Host`, in addition to that of PUBLIC_URL and "
        "to `localhost`; others get 421. `*` allows any. If unset, any is allowed, but none where mezcal listens on "
        "loopback only.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses or networks of proxies, comma-separated, whose `X-Forwarded-For` names "
        "the client, for the limits that each client has. A proxy on this machine and the one that SENDFILE_HEADER "
        "is for need not be listed.",
    )
    flask_debug: bool = Field(False, description="Turn on Flask's debug mode, for development.")

    # --- events and lists
    webhook_secrets: SigningKeys = Field(
        (),
        description="Keys, comma-separated, that sign events: `whsec_` and Base64 (Standard Webhooks), or any "
        "text. Several are accepted, so that you can replace one. If WEBHOOK_SECRETS, "
        "WEBHOOK_TOKENS, WEBHOOK_LOGINS and API_TOKENS are all unset, events are refused.",
    )
    webhook_tokens: Secrets = Field(
        (), description="Bearer tokens, comma-separated, that are valid for /webhooks only."
    )
    webhook_logins: Logins = Field(
        (), description="`user:password`, comma-separated, for producers that can only send HTTP Basic."
    )
    webhook_base_urls: Names = Field(
        (),
        description="Further base URLs, comma-separated, by which events name the repository, in addition to "
        "REPO_BASE_URL.",
    )
    webhook_buckets: Names = Field(
        (),
        description="Buckets, comma-separated, whose objects are the repository's masters: `bucket`, or "
        "`bucket/prefix/` if the path of a master begins after a prefix. That of REPO_BASE_URL needs no entry.",
    )
    webhook_paths: Names = Field(
        ("*",),
        description="Patterns, comma-separated, of paths whose events are accepted; `*` matches any text, `/` "
        "included.",
    )
    webhook_types: Names = Field(
        ("image/*", "application/octet-stream", "binary/octet-stream"),
        description="Media types whose events are accepted, by the event or else by the ending of the name. If "
        "neither has a type, the event is accepted.",
    )
    event_profiles: Names = Field(
        ("mezzanine",),
        description="Profiles, comma-separated, that are made of new and changed masters. Stored derivatives in "
        "other profiles are made again when their master changes.",
    )
    webhook_max_bytes: int = Field(4 * 2**20, ge=1024, description="Largest body in bytes of a request to /webhooks.")
    listen_urls: QueueUrls = Field(
        (),
        description="URLs of message queues, comma-separated, that `mezcal listen` and `mezcal up --listen` follow: "
        "`stomp://`, `stomp+ssl://`, `amqp://`, `amqps://`, `sqs://`; see docs/queues.md.",
    )
    jobs_max_items: int = Field(100_000, ge=1, description="How many masters one `POST /jobs` may list.")
    jobs_max_bytes: int = Field(32 * 2**20, ge=1024, description="Largest body in bytes of `POST /jobs`.")

    # --- caches downstream
    downstream_urls: DownstreamUrls = Field(
        (),
        description="URLs of hooks, comma-separated, that are notified when a derivative was replaced or deleted, or a "
        "job has ended: `cantaloupe+https://`, `purge+http://`, `cloudfront://`, `webhook+https://`; see "
        "docs/downstream.md and docs/callbacks.md.",
    )
    downstream_secret: SigningKey = Field(
        None, description="Key that signs what `webhook+https://` hooks get: `whsec_` and Base64, or any text."
    )

    # --- the dashboard
    flower_basic_auth: SecretStr | None = Field(
        None,
        description="`user:password` for Flower, several comma-separated. If unset, a password is created for "
        "the user `mezcal` and kept in DATA_DIR/flower/password.",
    )

    # --- metrics and logs
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token for `/metrics`. If unset, only this machine may read it."
    )
    metrics_port: int = Field(
        0, ge=0, le=65_535, description="Port at which a worker serves its `/metrics`. 0 means none."
    )
    metrics_address: str = Field(
        "127.0.0.1", description="Address of METRICS_PORT. An address beyond loopback requires METRICS_TOKEN."
    )
    notice_url: NoticeUrl = Field(
        None,
        description="URL that gets a signed notice (Standard Webhooks) when something needs a person, `https://..`. "
        "Requires NOTICE_SECRET. See docs/notices.md.",
    )
    notice_secret: SigningKey = Field(
        None, description="Key that signs notices to NOTICE_URL: `whsec_` and Base64, or any text."
    )
    notice_command: CommandLine = Field(
        None,
        description="Program with its arguments that gets each notice as JSON on its standard input, instead of "
        "NOTICE_URL. Workers start it without a shell.",
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], UPPER] = Field(
        "INFO", description="Lowest level that is logged."
    )
    nginx_hit_log: Path | None = Field(
        None,
        description="File in which nginx logs the hits it serves; the API counts and empties it. `mezcal up` sets it.",
    )
    log_format: Annotated[Literal["console", "json"], LOWER] = Field(
        "console", description="`console` writes lines for people, `json` one JSON object a line for log collectors."
    )
    access_log: Annotated[Literal["all", "misses", "none"], LOWER] = Field(
        "all", description="Requests that are logged: all, all except hits, or none."
    )
