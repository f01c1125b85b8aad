-- Functions that are an expression of others, under the names that PostgreSQL, Flink and Spark have for them.

-- Numbers
CREATE FUNCTION sign(x DOUBLE) RETURN signum(x);
CREATE FUNCTION div(a DOUBLE, b DOUBLE) RETURN CAST(trunc(a / b) AS BIGINT);
CREATE FUNCTION e() RETURN exp(1);
CREATE FUNCTION width_bucket(x DOUBLE, low DOUBLE, high DOUBLE, buckets INT) RETURN
    CASE WHEN x < low THEN 0 WHEN x >= high THEN buckets + 1
         ELSE CAST(floor((x - low) / CAST(high - low AS DOUBLE) * buckets) AS BIGINT) + 1 END;

-- Texts
CREATE FUNCTION char(code INT) RETURN chr(code);
CREATE FUNCTION quote_literal(x TEXT) RETURN '''' || replace(x, '''', '''''') || '''';
CREATE FUNCTION quote_ident(x TEXT) RETURN
    CASE WHEN x ~ '^[a-z_][a-z0-9_]*$' THEN x ELSE '"' || replace(x, '"', '""') || '"' END;
CREATE FUNCTION is_alpha(x TEXT) RETURN coalesce(x ~ '^\p{L}+$', false);
CREATE FUNCTION is_digit(x TEXT) RETURN coalesce(x ~ '^[0-9]+$', false);
CREATE FUNCTION is_decimal(x TEXT) RETURN coalesce(x ~ '^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)$', false);
CREATE FUNCTION regexp_substr(x TEXT, pattern TEXT) RETURN regexp_extract(x, pattern);

-- Bytes
CREATE FUNCTION to_base64(x TEXT) RETURN encode(x, 'base64pad');
CREATE FUNCTION from_base64(x TEXT) RETURN CAST(decode(x, 'base64pad') AS VARCHAR);
CREATE FUNCTION unhex(x TEXT) RETURN decode(x, 'hex');
CREATE FUNCTION convert_from(x BYTEA, encoding TEXT) RETURN CAST(x AS VARCHAR);
CREATE FUNCTION convert_to(x TEXT, encoding TEXT) RETURN CAST(x AS BYTEA);
CREATE FUNCTION sha2(x TEXT, bits INT) RETURN
    CASE bits WHEN 224 THEN encode(sha224(x), 'hex') WHEN 256 THEN encode(sha256(x), 'hex')
              WHEN 384 THEN encode(sha384(x), 'hex') WHEN 512 THEN encode(sha512(x), 'hex') END;

-- Times
CREATE FUNCTION datediff(until TIMESTAMP, since TIMESTAMP) RETURN CAST(until AS DATE) - CAST(since AS DATE);
CREATE FUNCTION date_add(t TIMESTAMP, span INTERVAL) RETURN t + span;
CREATE FUNCTION date_sub(t TIMESTAMP, span INTERVAL) RETURN t - span;

-- Lists
CREATE FUNCTION element(list TEXT) RETURN list[1];
CREATE FUNCTION size(list TEXT) RETURN cardinality(list);
