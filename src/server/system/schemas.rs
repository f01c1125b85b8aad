//! The tables of the system catalog and their columns, as PostgreSQL 15 has them.

/// The type of a column: `o` oid, `n` name or text, `c` "char", `b` boolean, `s` `i` `l` integers, `f` real, `N` text[],
/// `S` smallint[], `O` oid[]; what is NULL unless it is said is in upper case or behind `?`.
pub(super) struct TableSpec {
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    /// `name:type` apart by blanks.
    pub(super) columns: &'static str,
}

/// Whether there is a table of this name.
pub(super) fn is_table(schema: &str, name: &str) -> bool {
    TABLES.iter().any(|t| t.schema == schema && t.name == name)
}

/// Whether the columns of this name are lists.
pub(super) fn is_list(column: &str) -> bool {
    let mut columns = TABLES.iter().flat_map(|t| t.columns.split_whitespace()).filter_map(|c| c.split_once(':'));
    columns.any(|(name, of)| name == column && matches!(of, "N" | "S" | "O"))
}

const fn pg(name: &'static str, columns: &'static str) -> TableSpec {
    TableSpec { schema: super::PG_CATALOG, name, columns }
}

const fn info(name: &'static str, columns: &'static str) -> TableSpec {
    TableSpec { schema: super::INFORMATION_SCHEMA, name, columns }
}

/// Every table; those that nothing here is in are empty.
pub(super) const TABLES: &[TableSpec] = &[
    pg("pg_am", "oid:o amname:n amhandler:o amtype:c"),
    pg("pg_attrdef", "oid:o adrelid:o adnum:s adbin:n"),
    pg(
        "pg_attribute",
        "attrelid:o attname:n atttypid:o attstattarget:i attlen:s attnum:s attndims:i attcacheoff:i atttypmod:i attbyval:b \
         attalign:c attstorage:c attcompression:c attnotnull:b atthasdef:b atthasmissing:b attidentity:c attgenerated:c \
         attisdropped:b attislocal:b attinhcount:i attcollation:o attacl:N attoptions:N attfdwoptions:N attmissingval:?n",
    ),
    pg("pg_auth_members", "roleid:o member:o grantor:o admin_option:b"),
    pg(
        "pg_class",
        "oid:o relname:n relnamespace:o reltype:o reloftype:o relowner:o relam:o relfilenode:o reltablespace:o relpages:i \
         reltuples:f relallvisible:i reltoastrelid:o relhasindex:b relisshared:b relpersistence:c relkind:c relnatts:s \
         relchecks:s relhasrules:b relhastriggers:b relhassubclass:b relrowsecurity:b relforcerowsecurity:b relispopulated:b \
         relreplident:c relispartition:b relrewrite:o relfrozenxid:l relminmxid:l relacl:N reloptions:N relpartbound:?n",
    ),
    pg(
        "pg_collation",
        "oid:o collname:n collnamespace:o collowner:o collprovider:c collisdeterministic:b collencoding:i",
    ),
    pg(
        "pg_constraint",
        "oid:o conname:n connamespace:o contype:c condeferrable:b condeferred:b convalidated:b conrelid:o contypid:o \
         conindid:o conparentid:o confrelid:o confupdtype:c confdeltype:c confmatchtype:c conislocal:b coninhcount:i \
         connoinherit:b conkey:S confkey:S conpfeqop:O conbin:?n",
    ),
    pg(
        "pg_database",
        "oid:o datname:n datdba:o encoding:i datlocprovider:c datistemplate:b datallowconn:b datconnlimit:i datcollate:n \
         datctype:n daticulocale:?n dattablespace:o datacl:N",
    ),
    pg("pg_depend", "classid:o objid:o objsubid:i refclassid:o refobjid:o refobjsubid:i deptype:c"),
    pg("pg_description", "objoid:o classoid:o objsubid:i description:n"),
    pg("pg_enum", "oid:o enumtypid:o enumsortorder:f enumlabel:n"),
    pg("pg_extension", "oid:o extname:n extowner:o extnamespace:o extrelocatable:b extversion:n"),
    pg("pg_foreign_data_wrapper", "oid:o fdwname:n fdwowner:o"),
    pg("pg_foreign_server", "oid:o srvname:n srvowner:o srvfdw:o srvoptions:N"),
    pg("pg_foreign_table", "ftrelid:o ftserver:o ftoptions:N"),
    pg(
        "pg_index",
        "indexrelid:o indrelid:o indnatts:s indnkeyatts:s indisunique:b indnullsnotdistinct:b indisprimary:b \
         indisexclusion:b indimmediate:b indisclustered:b indisvalid:b indcheckxmin:b indisready:b indislive:b \
         indisreplident:b indkey:S indcollation:O indclass:O indoption:S indexprs:?n indpred:?n",
    ),
    pg("pg_inherits", "inhrelid:o inhparent:o inhseqno:i inhdetachpending:b"),
    pg("pg_language", "oid:o lanname:n lanowner:o"),
    pg(
        "pg_matviews",
        "schemaname:n matviewname:n matviewowner:n tablespace:?n hasindexes:b ispopulated:b definition:n",
    ),
    pg("pg_namespace", "oid:o nspname:n nspowner:o nspacl:N"),
    pg("pg_partitioned_table", "partrelid:o partstrat:c partnatts:s partdefid:o"),
    pg("pg_policy", "oid:o polname:n polrelid:o polcmd:c polpermissive:b polroles:O polqual:?n polwithcheck:?n"),
    pg(
        "pg_proc",
        "oid:o proname:n pronamespace:o proowner:o prolang:o prokind:c proretset:b provolatile:c pronargs:s prorettype:o \
         proargtypes:O proargnames:N prosrc:n proacl:N",
    ),
    pg("pg_publication", "oid:o pubname:n pubowner:o puballtables:b pubinsert:b pubupdate:b pubdelete:b pubtruncate:b"),
    pg("pg_publication_namespace", "oid:o pnpubid:o pnnspid:o"),
    pg("pg_publication_rel", "oid:o prpubid:o prrelid:o prqual:?n prattrs:S"),
    pg("pg_range", "rngtypid:o rngsubtype:o"),
    pg("pg_rewrite", "oid:o rulename:n ev_class:o ev_type:c ev_enabled:c is_instead:b"),
    pg(
        "pg_roles",
        "oid:o rolname:n rolsuper:b rolinherit:b rolcreaterole:b rolcreatedb:b rolcanlogin:b rolreplication:b \
         rolconnlimit:i rolbypassrls:b rolvaliduntil:?n",
    ),
    pg("pg_sequence", "seqrelid:o seqtypid:o seqstart:l seqincrement:l seqmax:l seqmin:l seqcache:l seqcycle:b"),
    pg("pg_settings", "name:n setting:n unit:?n category:n short_desc:n context:n vartype:n source:n"),
    pg("pg_shdescription", "objoid:o classoid:o description:n"),
    pg("pg_stat_user_tables", "relid:o schemaname:n relname:n n_live_tup:l n_dead_tup:l"),
    pg("pg_statistic_ext", "oid:o stxrelid:o stxname:n stxnamespace:o stxowner:o stxstattarget:i stxkeys:S stxkind:N"),
    pg("pg_subscription", "oid:o subdbid:o subname:n subowner:o subenabled:b"),
    pg(
        "pg_tables",
        "schemaname:n tablename:n tableowner:n tablespace:?n hasindexes:b hasrules:b hastriggers:b rowsecurity:b",
    ),
    pg("pg_tablespace", "oid:o spcname:n spcowner:o spcacl:N spcoptions:N"),
    pg(
        "pg_trigger",
        "oid:o tgrelid:o tgparentid:o tgname:n tgfoid:o tgtype:s tgenabled:c tgisinternal:b tgconstrrelid:o tgconstraint:o",
    ),
    pg(
        "pg_type",
        "oid:o typname:n typnamespace:o typowner:o typlen:s typbyval:b typtype:c typcategory:c typispreferred:b \
         typisdefined:b typdelim:c typrelid:o typsubscript:o typelem:o typarray:o typinput:o typoutput:o typreceive:o \
         typsend:o typmodin:o typmodout:o typanalyze:o typalign:c typstorage:c typnotnull:b typbasetype:o typtypmod:i \
         typndims:i typcollation:o typdefault:?n",
    ),
    pg("pg_user", "usename:n usesysid:o usecreatedb:b usesuper:b"),
    pg("pg_views", "schemaname:n viewname:n viewowner:n definition:n"),
    info(
        "columns",
        "table_catalog:n table_schema:n table_name:n column_name:n ordinal_position:i column_default:?n is_nullable:n \
         data_type:n character_maximum_length:?i character_octet_length:?i numeric_precision:?i numeric_precision_radix:?i \
         numeric_scale:?i datetime_precision:?i udt_catalog:n udt_schema:n udt_name:n is_identity:n is_generated:n \
         is_updatable:n",
    ),
    info(
        "key_column_usage",
        "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n \
         table_name:n column_name:n ordinal_position:i",
    ),
    info("referential_constraints", "constraint_catalog:n constraint_schema:n constraint_name:n"),
    info("routines", "specific_name:n routine_catalog:n routine_schema:n routine_name:n routine_type:n data_type:n"),
    info("schemata", "catalog_name:n schema_name:n schema_owner:n"),
    info(
        "table_constraints",
        "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n \
         table_name:n constraint_type:n",
    ),
    info("tables", "table_catalog:n table_schema:n table_name:n table_type:n is_insertable_into:n"),
    info("views", "table_catalog:n table_schema:n table_name:n view_definition:n is_updatable:n"),
];
