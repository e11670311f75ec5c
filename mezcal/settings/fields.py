"""Every setting: its type, its bounds, its default and its reason, in one table."""

# Annotations are types here, not text: pydantic reads them at once, and text would be evaluated twice at import.
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from mezcal.settings.types import (
    DEFAULT_MAX_PIXELS,
    LOWER,
    UPPER,
    AuthType,
    Bytes,
    FilterSets,
    Layout,
    Logins,
    MemoryBytes,
    NamedSizes,
    Names,
    Repository,
    Seconds,
    Secrets,
    SigningKeys,
    WebAddress,
)


class SettingFields(BaseSettings):
    """The table in docs/configuration.md is generated from these fields; `rules.Settings` completes them."""

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        frozen=True,
        case_sensitive=False,
        env_ignore_empty=True,
        defer_build=True,  # nobody makes one of these: the validator of a hundred fields is built once, for `Settings`
    )

    # --- the origin
    repo_base_url: Repository = Field(
        None,
        description="Where masters are: `http(s)://host/path`, with or without the final slash, or "
        "`file:///folder`. Unset, `mezcal up` serves its built-in samples.",
    )
    auth_type: Annotated[AuthType, UPPER] = Field(
        AuthType.NONE, description="How mezcal shows itself to the repository."
    )
    jwt_token: SecretStr | None = Field(
        None, description="Bearer token; set without AUTH_TYPE it means AUTH_TYPE=JWT_TOKEN."
    )
    jwt_secret: SecretStr | None = Field(
        None, description="Key with which mezcal signs its own HS256 tokens (AUTH_TYPE=JWT_SECRET)."
    )
    repo_username: str | None = Field(None, description="User name for AUTH_TYPE=BASIC.")
    repo_password: SecretStr | None = Field(None, description="Password for AUTH_TYPE=BASIC.")
    origin_connect_timeout: float = Field(5, gt=0, description="Seconds to reach the repository.")
    origin_read_timeout: float = Field(30, gt=0, description="Seconds between two pieces of a master.")
    origin_total_timeout: float = Field(600, gt=0, description="Seconds one master may take to arrive.")
    origin_max_bytes: int = Field(
        20 * 2**30, gt=0, description="Bytes a master may have; a larger one is refused with 413."
    )
    origin_retries: int = Field(
        2, ge=0, le=10, description="How often a failed request is tried again before the job fails."
    )
    origin_redirect_hosts: Names = Field(
        (), description="Hosts, comma-separated, that the repository may redirect to besides itself."
    )
    origin_denied_status: Literal[502, 403] = Field(
        502, description="What a client gets where the repository answers 401 or 403."
    )

    # --- the store
    storage: Annotated[Literal["local", "s3"], LOWER] = Field(
        "local", description="Where images are kept: a folder, or a bucket. Unset, a bucket if AWS_BUCKET is set."
    )
    data_dir: Path = Field(
        Path("mezcal-data"),
        description="Folder of `mezcal up`: the broker's state, and the cache if STORAGE_DIR is unset.",
    )
    storage_dir: Path | None = Field(None, description="Folder of the cache; unset, DATA_DIR/cache.")
    storage_layout: Annotated[Layout, LOWER] = Field(
        Layout.BASIC,
        validation_alias=AliasChoices("STORAGE_LAYOUT", "DIRECTORY_LAYOUT"),
        description="`basic` (the repository's paths), `md5_encoded` or `md5_encoded_pairtree`.",
    )
    tmp_dir: Path | None = Field(
        None,
        description="Folder for masters on their way; unset, one beside the cache. Files in it "
        "have no name and vanish with their process.",
    )

    aws_bucket: str | None = Field(None, description="Bucket of the cache.")
    aws_prefix: str = Field("", description="What the names of our objects in it begin with.")
    storage_url: WebAddress = Field(
        None, description="Object store that speaks S3, as `https://host:port`; unset, AWS in AWS_DEFAULT_REGION."
    )
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        "auto", description="`host/bucket` or `bucket.host`; `auto` is the latter on AWS alone."
    )
    s3_serve: Annotated[Literal["proxy", "redirect"], LOWER] = Field(
        "proxy", description="Send images through the API, or send clients to the object store by signed URLs."
    )
    s3_public_url: WebAddress = Field(
        None, description="Where clients reach the object store, if not at STORAGE_URL: signed URLs name it."
    )
    aws_access_key_id: str | None = Field(
        None, description="Access key; unset, as every AWS client finds one: shared files, web identity, roles."
    )
    aws_secret_access_key: SecretStr | None = Field(None, description="Its secret.")
    aws_session_token: SecretStr | None = Field(None, description="Its token, where it is one that is lent.")
    aws_default_region: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_DEFAULT_REGION", "AWS_REGION"),
        description="Region of the bucket; unset, `us-east-1`.",
    )
    aws_ca_bundle: Path | None = Field(None, description="Certificates that the object store's is judged by.")
    cache_max_bytes: Bytes = Field(
        0,
        ge=0,
        description="What the cache may hold, in bytes or as `500GB`, `20GiB`; past it, what was used least "
        "lately goes. 0 is no bound.",
    )
    cache_min_free_bytes: Bytes = Field(
        0, ge=0, description="What is to be left free on the cache's disk, written likewise; 0 is no bound."
    )
    cache_max_age: Seconds = Field(
        0, ge=0, description="Seconds, or as `90d`, after which goes what nobody has used for so long; 0 never."
    )
    cache_use_log: Path | None = Field(
        None,
        description="File in which nginx writes what it serves, for workers to read: where the cache is mounted "
        "`noatime`, nobody else remembers. `mezcal up --front` sees to it by itself.",
    )
    pin_seconds: float = Field(
        60, ge=0, description="How long an evicted derivative can still be had: a HEAD's answer holds for so long."
    )
    revalidate_after: int = Field(
        0,
        ge=0,
        description="Seconds after which the repository is asked whether a cached image's master changed; 0 never.",
    )
    revalidate_per_minute: int = Field(
        60, ge=1, description="How many cached images that nobody asks the API for are revalidated in a minute."
    )

    # --- the picture
    mezzanine_quality: int = Field(90, ge=1, le=100, description="JPEG quality.")
    mezzanine_subsampling: Literal["4:4:4", "4:2:0"] = Field(
        "4:4:4",
        description="Chroma subsampling: 90 with 4:4:4 looks better and is smaller than 95 with 4:2:0.",
    )
    mezzanine_progressive: bool = Field(
        False,
        description="Progressive JPEG: 1-6 % smaller, 3-6 times the time, and the whole image in memory.",
    )
    mezzanine_max_edge: int = Field(
        0, ge=0, le=65_500, description="Longest side in pixels; 0 is the master's own size."
    )
    color: Annotated[Literal["srgb", "keep"], LOWER] = Field(
        "srgb", description="`srgb` converts by the master's ICC profile; `keep` embeds the profile instead."
    )
    background: str = Field(
        "#ffffff",
        pattern=r"^#[0-9a-fA-F]{6}$",
        description="What shows through transparent masters, `#rrggbb`.",
    )
    keep_metadata: bool = Field(False, description="Carry EXIF, XMP and IPTC over (less orientation and thumbnail).")
    oversize: Annotated[Literal["scale", "refuse"], LOWER] = Field(
        "scale",
        description="Masters beyond JPEG's 65,500 pixels a side, and JPEG 2000 beyond the memory for it: "
        "scaled to fit, or refused with 413.",
    )
    max_image_pixels: int = Field(
        0,
        description=f"Pixels a master may have: 0 is the default limit of {DEFAULT_MAX_PIXELS:,}, "
        "a negative number no limit (for trusted repositories only).",
    )

    # --- the science archive
    archive_api_url: WebAddress = Field(
        None, description="API of the science archive whose frames get thumbnails; unset, there are none."
    )
    archive_token: SecretStr | None = Field(
        None, description="`Authorization` with which thumbnails that nobody asked for are made, as `Token 0123..`."
    )
    archive_file_hosts: Names = Field(
        (),
        description="Hosts that frames are fetched from, comma-separated, each as `host` or `host:port`. Unset, a "
        "worker fetches from whichever host the archive names, one in your own network too.",
    )
    thumbnail_look: Annotated[Literal["lco", "robust"], LOWER] = Field(
        "robust", description="Look of thumbnails that ask for none: `lco` draws as thumbnail-service did."
    )
    thumbnail_max_edge: int = Field(4096, ge=1, le=20_000, description="Longest side in pixels that may be asked for.")
    thumbnail_filters: FilterSets = Field(
        "R,rp/V/B",
        description="Filters for red/visual/blue, as `R,rp/V/B`; several sets, as `R,rp/V/B;ip/rp/gp`: the first "
        "one that a request has complete.",
    )
    thumbnail_sizes: NamedSizes = Field(
        "small:200,medium:600,large:1200",
        description="Names and pixels of the sizes that `mezcal warm --frames` makes.",
    )
    required_frame_validation_keys: Names = Field(
        ("configuration_type", "request_id", "filename"), description="What a frame's record must have; else 400."
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
        description="Key that signs the URLs of thumbnails; unset, one is made in DATA_DIR. Hosts that answer for "
        "each other need the same.",
    )
    public_url: WebAddress = Field(
        None, description="What the URLs of thumbnails begin with, as `https://host`; unset, as the request says."
    )

    # --- the queue
    redis_url: SecretStr | None = Field(
        None,
        description="Broker and job table: `redis://`, `rediss://` (TLS), `redis+socket://`, or the sentinels that "
        "know where they are, `sentinel://host1;host2/0`. Unset, `mezcal up` starts its own.",
    )
    redis_password: SecretStr | None = Field(None, description="Password of Redis, where REDIS_URL has none.")
    redis_master: str = Field("mymaster", description="Name under which sentinels know the master.")
    redis_sentinel_password: SecretStr | None = Field(None, description="Password of the sentinels themselves.")
    redis_tls_ca: Path | None = Field(
        None,
        description="Certificates by which Redis is judged over TLS, the system's if unset. With it also for `sentinel://`.",
    )
    redis_tls_cert: Path | None = Field(None, description="Certificate by which we show ourselves to Redis.")
    redis_tls_key: Path | None = Field(None, description="Its key.")
    key_prefix: str = Field(
        "mezcal:",
        pattern=r"^[\w.:-]{1,64}$",
        description="Begins every Redis key: two installations, one server.",
    )
    wait_seconds: float = Field(
        25,
        ge=0,
        le=300,
        description="How long a miss waits before it is answered 503; IIIF servers give up at 30.",
    )
    waiters_max: int = Field(
        512, ge=1, le=1000, description="How many requests may wait at once in one API process; past it, 503."
    )
    lease_seconds: float = Field(
        6, ge=1, le=60, description="A running job is taken for dead when not renewed for so long."
    )
    max_attempts: int = Field(3, ge=1, le=20, description="How often a job may start before it is quarantined.")
    job_time_limit: int = Field(900, ge=5, description="Seconds one job may run before its process is ended.")
    job_time_grace: int = Field(
        15, ge=1, description="Seconds past JOB_TIME_LIMIT after which a job that did not end itself is killed."
    )
    retry_seconds: float = Field(
        30, gt=0, description="From a bulk job's first failure that may pass to its next try; doubled each time."
    )
    origin_concurrency: int = Field(
        0, ge=0, description="Jobs that may read from the repository at once, over all workers; 0 is no bound."
    )
    breaker_failures: int = Field(
        5, ge=1, description="Jobs in a row that the repository may fail before it is left alone for a while."
    )
    breaker_seconds: float = Field(
        15, gt=0, le=120, description="How long it is left alone at first; doubled each time, up to two minutes."
    )
    interactive_reserve: int = Field(
        1, ge=0, description="Pool processes of each worker with two or more that bulk jobs never take."
    )
    worker_memory: MemoryBytes = Field(
        0,
        ge=0,
        description="Bytes that the conversions of one worker may hold at once, as `1500m` or `2g`; `auto` (0) is what "
        "its container, or the machine, has, less what its processes take idle.",
    )
    queue_max: int = Field(2_000_000, ge=1, description="Jobs that may be queued in one lane; past it, 503.")
    drain_seconds: float = Field(
        30,
        ge=0,
        description="How long a process that is told to stop may finish what it began; a worker two seconds at least.",
    )
    failure_brief_seconds: int = Field(
        10, ge=0, description="How long an unreachable or refusing origin is remembered, per master."
    )
    failure_missing_seconds: int = Field(120, ge=0, description="How long a missing master is remembered.")
    failure_lasting_seconds: int = Field(
        30 * 86_400,
        ge=0,
        description="How long an undecodable master is remembered; a retry, DELETE or event lifts it sooner.",
    )

    # --- the API
    api_tokens: Secrets = Field(
        (), description="Bearer tokens, comma-separated, for whatever changes state; with none it is closed."
    )
    read_tokens: Secrets = Field(
        (),
        description="Bearer tokens, comma-separated, for reading images, jobs and the home page; with none, reading is "
        "open. Thumbnails do not ask for one: the archive is asked whether the asker may see the frame.",
    )
    api_processes: int = Field(
        1, ge=1, le=64, description="API processes of `mezcal up`: one sends 20,000 hits a second, and idles at 60 MB."
    )
    http_max_age: int = Field(
        3600, ge=0, description="Seconds for which `Cache-Control` lets browsers keep an image unasked."
    )
    http_stale_while_revalidate: int = Field(
        3600, ge=0, description="Seconds past that in which a cache may answer with what it has while it asks anew."
    )
    http_stale_if_error: int = Field(
        604_800, ge=0, description="Seconds past that in which a cache may keep to what it has while mezcal fails."
    )
    sendfile_header: Literal["X-Accel-Redirect", "X-Sendfile"] | None = Field(
        None,
        description="Leave sending to the server in front: `X-Accel-Redirect` for nginx, `X-Sendfile` for Apache and "
        "lighttpd. Unset, the API sends images itself.",
    )
    sendfile_prefix: str = Field(
        "/.stored/",
        pattern=r"^/[\w./-]*/$",
        description="Internal location under which nginx has the cache (SENDFILE_HEADER=X-Accel-Redirect).",
    )
    loopback_trusted: bool = Field(
        False,
        description="Let loopback clients change state without a token while API_TOKENS is unset; "
        "`mezcal up` turns this on where it listens on loopback only.",
    )
    flask_debug: bool = Field(False, description="Flask's debug mode, for development.")

    # --- events and lists
    webhook_secrets: SigningKeys = Field(
        (),
        description="Keys, comma-separated, of signatures at /webhooks: `whsec_` and Base64 (Standard Webhooks), or "
        "any text; several while they are changed. With none of these three, and no API_TOKENS, events are refused.",
    )
    webhook_tokens: Secrets = Field((), description="Bearer tokens, comma-separated, for /webhooks and nothing else.")
    webhook_logins: Logins = Field(
        (), description="`user:password`, comma-separated, for producers that can only send HTTP Basic."
    )
    webhook_base_urls: Names = Field(
        (), description="Base URLs, comma-separated, by which events name the repository, besides REPO_BASE_URL."
    )
    webhook_buckets: Names = Field(
        (),
        description="Buckets, comma-separated, whose objects are the repository's masters: `bucket`, or "
        "`bucket/prefix/` where the masters' paths begin behind a prefix.",
    )
    webhook_paths: Names = Field(
        ("*",), description="Patterns, comma-separated, of paths whose events are heard; `*` is any text, also `/`."
    )
    webhook_types: Names = Field(
        ("image/*", "application/octet-stream", "binary/octet-stream"),
        description="Media types of which derivatives are made on events, as the producer or else the name's ending "
        "tells; what neither tells is tried.",
    )
    webhook_max_bytes: int = Field(4 * 2**20, ge=1024, description="Bytes that one event or batch of them may have.")
    jobs_max_items: int = Field(100_000, ge=1, description="Masters that one `POST /jobs` may list.")
    jobs_max_bytes: int = Field(32 * 2**20, ge=1024, description="Bytes that one `POST /jobs` may have.")

    # --- the dashboard
    flower_basic_auth: SecretStr | None = Field(
        None,
        description="`user:password` of Flower, several comma-separated; unset, a password is made for the user "
        "`mezcal` and kept in DATA_DIR/flower/password.",
    )

    # --- metrics and logs
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token for `/metrics`; with none, only this machine may ask for it."
    )
    metrics_port: int = Field(0, ge=0, le=65_535, description="Port at which a worker shows its `/metrics`; 0 is none.")
    metrics_address: str = Field(
        "127.0.0.1", description="Address of METRICS_PORT; beyond loopback it answers only with METRICS_TOKEN."
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], UPPER] = Field(
        "INFO", description="The least that is logged."
    )
    front_hits_file: Path | None = Field(
        None, description="File in which nginx in front notes its hits: the API counts and empties it. `up` sets it."
    )
    log_format: Annotated[Literal["console", "json"], LOWER] = Field(
        "console", description="Lines for people, or JSON objects, one a line, for collectors."
    )
    access_log: Annotated[Literal["all", "misses", "none"], LOWER] = Field(
        "all", description="Which requests get a line: all, all but hits, or none."
    )
