{% materialization table, adapter='duckdb' %}
    {#- The file is always new: nothing there to keep until the new table is whole, and so to rename or to drop. -#}
    {%- set relation = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        {{ create_table_as(False, relation, compiled_code) }}
    {%- endcall %}
    {% call statement('comments') -%}
        {{ alter_relation_comment(relation, model.description) }}
        {% for name, column in model.columns.items() -%}
            comment on column {{ relation }}.{{ name }} is {{ duckdb_escape_comment(column.description) }};
        {% endfor %}
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}
